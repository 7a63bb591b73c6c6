"""Parameters are sent where the vendor takes them, fitted where it takes less, and reported where it takes none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.generation import (
    Message,
    OutputFormat,
    Sampling,
)
from router_service.core.parts import Media, ToolResult
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    THINK,
    ask,
    assistant,
    body_of,
    call,
    encode,
    endpoint,
    raw,
    user,
)

CHAT = "openai_chat"


def test_parameters_that_ask_for_nothing_are_not_reported() -> None:
    """Neutral values and what the router itself serves are no loss."""
    penalties = Sampling(frequency_penalty=0, presence_penalty=0.0, repetition_penalty=1)
    neutral = msgspec.structs.replace(penalties, min_p=0, top_a=0, logprobs=False, logit_bias={}, top_k=0, n=1)
    request = ask(sampling=neutral, metadata={}, modalities=["text"], extras={CHAT: {"plugins": [], "usage": {}}})
    assert encode(request).dropped == ()
    assert set(body_of(request)) == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    ("sampling", "sent", "dropped"),
    [
        (Sampling(temperature=1.5), {"temperature": 1}, ()),
        (Sampling(temperature=-1), {"temperature": 0}, ()),
        (Sampling(temperature=0.5, top_p=0.5), {"temperature": 0.5}, ("top_p",)),
        (Sampling(top_p=1.5), {"top_p": 1}, ()),
        (Sampling(top_k=-1), {}, ()),
        (Sampling(stop=["\n\n"]), {}, ("stop",)),
        (Sampling(stop=["\n\n", "END", " "]), {"stop_sequences": ["END"]}, ("stop",)),
        (Sampling(stop=["END\n"]), {"stop_sequences": ["END\n"]}, ()),
        (Sampling(stop=[""]), {}, ("stop",)),
    ],
)
def test_sampling_is_fitted(sampling: Sampling, sent: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """Values beyond the vendor's range are the nearest in it, and what it refuses is left out."""
    body = body_of(ask(sampling=sampling))
    assert {name: body[name] for name in body if name not in ("model", "max_tokens", "messages")} == sent
    assert encode(ask(sampling=sampling)).dropped == dropped


@pytest.mark.parametrize(
    ("sampling", "sent", "dropped"),
    [
        (Sampling(temperature=1.5, top_k=5), {}, ("temperature", "top_k")),
        (Sampling(temperature=1), {}, ()),
        (Sampling(temperature=0), {}, ("temperature",)),
        (Sampling(top_p=0.9), {}, ("top_p",)),
        (Sampling(top_p=0.95), {"top_p": 0.95}, ()),
        (Sampling(top_p=0.99, temperature=0.2), {"top_p": 0.99}, ("temperature",)),
        (Sampling(stop=[" ", "END"]), {"stop_sequences": ["END"]}, ("stop",)),
    ],
)
def test_sampling_is_fitted_to_thinking(sampling: Sampling, sent: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """With thinking the vendor takes neither temperature nor top_k, and top_p from 0.95."""
    request = ask(sampling=sampling, reasoning=THINK)
    body = body_of(request)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k", "stop_sequences") if name in body} == sent
    assert encode(request).dropped == dropped


def test_models_without_sampling() -> None:
    """Claude since 4.7 takes no sampling at all; the neutral values are no loss."""
    request = ask(sampling=Sampling(temperature=0.3, top_p=0.99, top_k=3))
    assert set(body_of(request, endpoint("claude-opus-4-7"))) == {"model", "max_tokens", "messages"}
    assert encode(request, endpoint("claude-opus-4-7")).dropped == ("temperature", "top_k", "top_p")
    assert encode(ask(sampling=Sampling(temperature=1, top_p=1)), endpoint("claude-opus-5")).dropped == ()


@pytest.mark.parametrize(
    ("asked", "most", "sent"), [(None, 32000, 32000), (None, None, 4096), (99999, 32000, 32000), (99999, None, 99999)]
)
def test_max_tokens(asked: int | None, most: int | None, sent: int) -> None:
    """The limit that the format requires is the client's, at most the model's."""
    assert body_of(ask(max_tokens=asked), endpoint(limit=most))["max_tokens"] == sent


@pytest.mark.parametrize("tier", ["flex", "priority", "fast", "scale"])
def test_tiers_without_meaning_here_are_dropped(tier: str) -> None:
    """Tiers that the vendor does not sell are reported."""
    assert "service_tier" not in body_of(ask(service_tier=tier))
    assert encode(ask(service_tier=tier)).dropped == ("service_tier",)
    assert body_of(ask(service_tier="auto"))["service_tier"] == "auto"


def test_a_long_user_id_is_hashed() -> None:
    """The vendor takes 256 characters."""
    sent = body_of(ask(user="u" * 300))["metadata"]["user_id"]
    assert len(sent) == 64
    assert body_of(ask(user="u" * 256))["metadata"]["user_id"] == "u" * 256


def test_an_answer_without_text_is_refused() -> None:
    """This format answers in text alone."""
    with pytest.raises(ApiError, match="add text to modalities"):
        encode(ask(modalities=["image"]))


def test_fields_of_the_dialect_pass() -> None:
    """Fields that the middle does not know are sent; the request's own win, and none of them is replaced."""
    own = {
        "context_management": {"edits": []},
        "container": "c",
        "output_config": {"effort": "max", "task_budget": {"total": 1}},
        "metadata": {"user_id": "other", "x": 1},
        "model": "other",
        "messages": [],
        "stream": True,
        "tools": [],
    }
    request = ask(extras={"anthropic_messages": own}, user="ada", verbosity="low")
    body = body_of(request, endpoint("claude-opus-4-7"))
    assert body["context_management"] == {"edits": []}
    assert body["container"] == "c"
    assert body["output_config"] == {"effort": "low", "task_budget": {"total": 1}}
    assert body["metadata"] == {"user_id": "ada", "x": 1}
    assert body["model"] == "claude-opus-4-7"
    assert "stream" not in body
    assert "tools" not in body
    assert encode(request).dropped == ("verbosity",)


def test_the_http_request() -> None:
    """The address, the version and the betas are those of the vendor, and there is no credential."""
    request = encode(ask()).request
    assert request.url == "https://provider.test/v1/messages"
    assert request.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    betas = {"anthropic_beta": "a-1, b-2", "anthropic-beta": ["b-2", 7, "c-3", "no\nheader", ""], "?beta": True}
    found = encode(ask(extras={"anthropic_messages": betas}))
    assert found.request.headers["anthropic-beta"] == "b-2,c-3,a-1"
    assert found.request.url == "https://provider.test/v1/messages?beta=true"
    assert b"beta" not in found.request.body
    assert "anthropic-beta" not in encode(ask(extras={"anthropic_messages": {"betas": 3}})).request.headers


def test_files_of_the_vendor_need_their_beta() -> None:
    """A file by its id, also in a result, needs the beta of the Files API."""
    file = Media(kind="document", file_id="file_1")
    assert encode(ask(user(file))).request.headers["anthropic-beta"] == "files-api-2025-04-14"
    seen = Message(role="tool", parts=[ToolResult(call_id="call_1", content=[file])])
    request = ask(user("?"), assistant(call()), seen)
    assert encode(request).request.headers["anthropic-beta"] == "files-api-2025-04-14"


def test_the_context_of_the_decoder() -> None:
    """The decoder learns the stem of ids and the origin of its parts."""
    context = encode(ask()).context
    assert (context.generation_id, context.origin) == ("gen-1", "anthropic_messages/anthropic")
    assert (context.choices, context.output_tool, context.tool_names) == (1, None, {})


def test_formats_of_plain_text_ask_for_nothing() -> None:
    """The format text is the default."""
    assert set(body_of(ask(output=OutputFormat(kind="text", schema=raw({}))))) == {"model", "max_tokens", "messages"}
