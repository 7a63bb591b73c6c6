"""Which endpoints a request would meet is what it then meets, and asking leaves no trace."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.telemetry.frames import read_frames
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack
from tests.router_service.explanations.test_explain import HELLO, MODEL, ask, explained
from tests.running import until

PREVIEW = "/api/v1/route/preview"
# Both have a price of their own for cached tokens, and so a cache worth staying for.
PAIR = {"only": ["chutes/tee", "deepinfra"], "strategy": "price"}


def preview(stack: Stack, **body: Any) -> dict[str, Any]:
    with stack.client as client:
        answer = client.post(PREVIEW, json={"model": MODEL, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def test_a_preview_is_the_plan_that_the_request_then_gets(stack: Stack) -> None:
    provider = {"strategy": "price", "ignore": ["groq"]}
    found = preview(stack, provider=provider)
    calls = sum(stack.lab.calls.values())
    assert calls == 0
    after = explained(stack, ask(stack, provider=provider)["id"])
    for name in ("endpoint", "probability", "score"):
        assert [e[name] for e in found["endpoints"]] == [c[name] for c in after["candidates"]]
    assert found["excluded"] == after["excluded"]
    assert [arm["policy"] for arm in found["policies"]] == ["price"]
    assert float(found["endpoints"][0]["pricing"]["prompt"]) > 0
    assert (found["refusal"], found["next_models"]) == (None, [])


def test_a_conversation_that_stays_is_previewed_and_explained(stack: Stack) -> None:
    # Long enough that leaving the cache costs more than the cheaper of the two would save.
    messages = [{"role": "user", "content": "Which tides does the pilot wait for? " * 1000}]
    body = {"model": "deepseek/deepseek-v3.2", "session_id": "a voyage", "provider": PAIR, "messages": messages}
    first = explained(stack, ask(stack, **body)["id"])
    found = preview(stack, **body)
    kept = next(e for e in found["endpoints"] if e["probability"] > 0)
    assert (kept["endpoint"], kept["probability"]) == (first["endpoint"], 1)
    assert preview(stack, model=body["model"])["policies"][0]["policy"] == "price"
    second = explained(stack, ask(stack, **body)["id"])
    assert (second["decision"]["policy"], second["endpoint"]) == ("sticky", first["endpoint"])
    assert second["replay"]["agrees"] is True, second["replay"]
    assert "stood first as the endpoint that its conversation stays with" in second["summary"]


def test_a_preview_leaves_nothing_in_the_log(stack: Stack) -> None:
    preview(stack)
    made = ask(stack)["id"]
    until(lambda: find_on_disk(stack.lake, made), "the record is written")
    payloads = [p for segment in stack.lake.log.iterdir() for p in read_frames(segment.read_bytes()).payloads]
    assert [msgspec.msgpack.decode(payload)["generation_id"] for payload in payloads] == [made]


@pytest.mark.parametrize("body", [{"provider": {"only": ["nobody"]}}, {"model": "no/body"}, {"model": f"{MODEL}:free"}])
def test_a_preview_of_nothing_carries_the_refusal(stack: Stack, body: dict[str, Any]) -> None:
    found = preview(stack, messages=HELLO, **body)
    assert found["endpoints"] == []
    assert found["refusal"] == ask(stack, **body)["error"]
    assert found["refusal"]["availability"]["code"]


def test_a_preview_answers_for_each_model_and_for_a_pool(stack: Stack) -> None:
    claude = "anthropic/claude-haiku-4.5"
    found = preview(stack, models=["no/body", claude])
    assert [one["model"] for one in found["next_models"]] == [None, claude]
    pooled = preview(stack, models=[claude], provider={"sort": {"by": "price", "partition": "none"}})
    assert {e["model"] for e in pooled["endpoints"]} == {MODEL, claude}
    assert pooled["next_models"] == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"model": MODEL}, {"authorization": "Bearer no"}, 401),
        ({"messages": HELLO}, {}, 400),
        ({"model": MODEL, "messages": []}, {}, 400),
        ({"model": MODEL, "provider": {"sort": "luck"}}, {}, 400),
        ([], {}, 400),
    ],
)
def test_a_preview_refuses_what_chat_refuses(stack: Stack, body: Any, headers: dict[str, str], status: int) -> None:
    with stack.client as client:
        assert client.post(PREVIEW, json=body, headers=headers).status_code == status
