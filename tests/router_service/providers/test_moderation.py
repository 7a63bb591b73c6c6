"""Test that endpoints are marked and filtered by moderation, and that refused requests go to the next model listed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import openrouter
import pytest

from data.catalogue import load_catalogue
from router_service.core.preferences import parse_preferences
from router_service.planning.make_plan import make_plan
from router_service.providers.formats.anthropic_messages.format import AnthropicMessagesFormat
from router_service.providers.formats.openai_chat.format import OpenAIChatFormat
from tests.conftest import Stack
from tests.market import PROFILE, endpoint, state
from tests.router_service.planning.test_tool_quality import row_of

CHAT = "/api/v1/chat/completions"
OPEN, CLAUDE = "openai/gpt-oss-120b", "anthropic/claude-haiku-4.5"
MARKET = [endpoint("acme", moderated=True), endpoint("bolt", moderated=None), endpoint("core", moderated=False)]


def body(stream: bool, *models: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hello"}]
    provider = {"only": ["groq", "anthropic"]}
    return {"models": list(models), "messages": messages, "stream": stream, "provider": provider, **more}


@pytest.mark.parametrize(
    ("wanted", "served"),
    [(False, {"bolt:b", "core:b"}), (True, {"acme:b"}), (None, {"acme:b", "bolt:b", "core:b"})],
)
def test_the_filter_selects_by_the_mark_and_unknown_endpoints_have_none(wanted: bool | None, served: set[str]) -> None:
    preferences = parse_preferences(msgspec.json.encode({"is_moderated": wanted}))
    plan = make_plan("a/b", MARKET, preferences, PROFILE, state())
    assert {e.id for e in plan.endpoints} == served
    assert {reason for _, reason in plan.excluded} <= {"moderated" if wanted is False else "not_moderated"}


def test_the_catalogue_shows_the_mark(stack: Stack) -> None:
    with stack.client as client:
        rows = {row["id"]: row for row in client.get("/api/v1/models").json()["data"]}
        offers = client.get(f"/api/v1/models/{CLAUDE}/endpoints").json()["data"]["endpoints"]
        refused = client.post(CHAT, json=body(False, CLAUDE, provider={"is_moderated": False}))
        wrong = client.post(CHAT, json=body(False, CLAUDE, provider={"is_moderated": "no"}))
    assert rows[CLAUDE]["top_provider"]["is_moderated"] is True
    assert rows["meta-llama/llama-3.3-70b-instruct"]["top_provider"]["is_moderated"] is False
    assert [row["is_moderated"] for row in offers if row["tag"] == "anthropic"] == [True]
    assert refused.status_code == 404
    assert refused.json()["error"]["availability"]["nearest"]["changes"][0]["field"] == "provider.is_moderated"
    assert (wrong.status_code, "provider.is_moderated must be true or false" in wrong.text) == (400, True)
    with openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as sdk:
        models = {model.id: model for model in sdk.models.list().result.data}
    assert models[CLAUDE].top_provider.is_moderated is True


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("first", "then"), [(OPEN, CLAUDE), (CLAUDE, OPEN)])
def test_a_refusal_before_the_first_token_goes_to_the_next_model(
    stack: Stack, first: str, then: str, stream: bool
) -> None:
    stack.lab.modes["groq" if first == OPEN else "anthropic"] = {"mode": "refuse"}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, first, then))
    row = row_of(stack, answer)
    assert (answer.status_code, row["model"], row["error_type"]) == (200, then, None)
    assert [a["model"] for a in row["attempts"]] == [first, then]
    assert row["attempts"][0]["error_type"] == ("content_policy_violation" if first == OPEN else "refusal")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("models", [(OPEN,), (CLAUDE,), (OPEN, OPEN), (OPEN, CLAUDE)])
def test_the_last_models_refusal_is_the_response(stack: Stack, models: tuple[str, ...], stream: bool) -> None:
    stack.lab.modes["*"] = {"mode": "refuse"}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, *models))
    row = row_of(stack, answer)
    assert (answer.status_code, row["finish_reason"]) == (200, "content_filter")
    assert row["model"] == models[-1]
    assert len(row["attempts"]) == len(set(models))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "content_policy_violation", None),
        (400, "content_filter", "The response was filtered due to Azure OpenAI's content management policy."),
        (400, "invalid_prompt", "Your prompt was flagged as potentially violating our usage policy."),
        (400, "data_inspection_failed", None),
        (400, "1301", None),
        (400, "invalid_request_error", "Content Exists Risk"),
        (403, "forbidden", "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"),
    ],
)
def test_a_providers_moderation_error_goes_to_the_next_model(
    stack: Stack, status: int, code: str, message: str | None, stream: bool
) -> None:
    stack.lab.modes["groq"] = {"mode": "error", "status": status, "code": code, "message": message}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, OPEN, CLAUDE))
        alone = client.post(CHAT, json=body(stream, OPEN))
    assert row_of(stack, answer)["model"] == CLAUDE
    assert alone.status_code == 400
    assert alone.json()["error"]["metadata"]["error_type"] in ("content_policy_violation", "invalid_prompt")


def test_anthropics_filter_and_the_references_own_403_are_distinguished_from_other_errors() -> None:
    offer = load_catalogue().endpoints[CLAUDE][0]
    blocked = {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
    plain = {"type": "invalid_request_error", "message": "max_tokens: must be at least 1"}
    flagged = {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"], "flagged_input": "a…b"}}
    denied = {"code": 403, "message": "Not in your country"}
    kinds = [
        wire.error(status, json.dumps({"error": error}).encode(), {}, offer).error_type
        for wire, status, error in (
            (AnthropicMessagesFormat(), 400, blocked),
            (AnthropicMessagesFormat(), 400, plain),
            (OpenAIChatFormat(), 403, flagged),
            (OpenAIChatFormat(), 403, denied),
        )
    ]
    assert kinds == ["content_policy_violation", "invalid_request", "content_policy_violation", "permission_denied"]
