"""Test that the parameters which the catalogue shows are those that routing filters by and that reach the provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.running import until

HELLO = [{"role": "user", "content": "hello"}]
CLAUDE = "anthropic/claude-sonnet-4.5"
WITHOUT_SAMPLING = "anthropic/claude-opus-4.7"
# Providers of both wire formats offer this model.
IN_BOTH_FORMATS = "minimax/minimax-m2"
# A value for each parameter of the reference's list.
VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "min_p": 0.5,
    "top_a": 0.5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "repetition_penalty": 1.5,
    "max_tokens": 50,
    "max_completion_tokens": 50,
    "logit_bias": {"7": 1},
    "logprobs": True,
    "top_logprobs": 5,
    "prediction": {"type": "content", "content": "x"},
    "seed": 7,
    "response_format": {"type": "json_object"},
    "structured_outputs": True,
    "stop": ["x"],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "include_reasoning": True,
    "reasoning": {"effort": "low"},
    "reasoning_effort": "low",
    "web_search_options": {},
    "verbosity": "low",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[httpx2.Client]:
    with stack.client as opened:
        yield opened


def shown(client: httpx2.Client, model: str) -> dict[str, set[str]]:
    """Return the supported parameters of a model's endpoints of the default tier by their tags."""
    answer = client.get(f"/api/v1/models/{model}/endpoints")
    assert answer.status_code == 200, answer.text
    offers = answer.json()["data"]["endpoints"]
    return {one["tag"]: set(one["supported_parameters"]) for one in offers if one["service_tier"] is None}


def recorded(stack: Stack, generation: str) -> dict[str, Any]:
    """Return the row of the log."""
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    found = find_on_disk(stack.lake, generation)
    assert found is not None
    return found


@pytest.mark.parametrize("model", [CLAUDE, WITHOUT_SAMPLING, IN_BOTH_FORMATS, "openai/gpt-5-mini"])
def test_routing_filters_by_what_the_catalogue_shows(client: httpx2.Client, model: str) -> None:
    """Each parameter that is required leaves exactly the endpoints that show it."""
    listed = shown(client, model)
    for name, value in VALUES.items():
        body = {"model": model, "messages": HELLO, name: value, "provider": {"require_parameters": True}}
        found = client.post("/api/v1/route/preview", json=body)
        assert found.status_code == 200, found.text
        eligible = {endpoint["tag"] for endpoint in found.json()["data"]["endpoints"]}
        assert eligible == {tag for tag, parameters in listed.items() if name in parameters}, name


def test_a_model_supports_what_some_endpoint_supports(client: httpx2.Client) -> None:
    """The list of a model is the union of those of its endpoints."""
    for model in (CLAUDE, IN_BOTH_FORMATS):
        listed = client.get(f"/api/v1/model/{model}").json()["data"]["supported_parameters"]
        assert set(listed) == set().union(*shown(client, model).values())


def test_what_the_format_drops_is_not_supported(client: httpx2.Client) -> None:
    """The messages format has no seed and no penalties, and later models of its vendor no sampling."""
    (claude,) = shown(client, CLAUDE).values()
    assert {"max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "tools", "reasoning"} <= claude
    assert claude.isdisjoint({"seed", "frequency_penalty", "presence_penalty"})
    (later,) = shown(client, WITHOUT_SAMPLING).values()
    assert "max_tokens" in later and later.isdisjoint({"temperature", "top_p", "top_k"})
    both = shown(client, IN_BOTH_FORMATS)
    assert {tag for tag, parameters in both.items() if "seed" not in parameters} == {"minimax", "minimax-cn"}
    assert len(both) > 2


def test_a_required_parameter_that_no_endpoint_has_is_named(client: httpx2.Client) -> None:
    """The refusal says which field to leave out."""
    body = {"model": CLAUDE, "messages": HELLO, "seed": 7, "provider": {"require_parameters": True}}
    answer = client.post("/api/v1/chat/completions", json=body)
    assert answer.status_code == 404
    assert "require_parameters" in answer.text and "without seed" in answer.text


def test_the_record_names_what_was_dropped(stack: Stack, client: httpx2.Client) -> None:
    """Log what the format of the endpoint does not have, and nothing where it has all."""
    body = {"max_tokens": 50, "messages": HELLO, "cache_control": {"type": "ephemeral"}, "service_tier": "auto"}
    for model, more, dropped in (
        ("openai/gpt-oss-120b", {"container": "c"}, ["cache_control", "container", "service_tier"]),
        (CLAUDE, {}, []),
    ):
        answer = client.post("/api/v1/messages", json=body | more | {"model": model})
        assert answer.status_code == 200, answer.text
        generation = "gen-" + answer.json()["id"].removeprefix("msg_").replace("_", "-")
        assert recorded(stack, generation)["dropped_parameters"] == dropped
