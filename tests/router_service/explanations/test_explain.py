"""Every decision can be asked for its reasons: in the answer, from the log, and before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openrouter
import pytest

from data.explanations.wording import SENTENCES, sentence
from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from router_service.explanations.explain import code
from router_service.planning.eligibility import EXCLUDED_BY
from router_service.telemetry.frames import read_frames
from router_service.telemetry.log import RequestLog
from router_service.telemetry.lookup import find_on_disk
from router_service.telemetry.sealing import recover
from tests.conftest import Stack, open_stack
from tests.running import portolan, until

CHAT, EXPLAIN = "/api/v1/chat/completions", "/api/v1/generation/explain"
MODEL = "openai/gpt-oss-120b"
HELLO = [{"role": "user", "content": "Say hello to the harbour."}]
ASKED = {"x-openrouter-metadata": "Enabled"}


def ask(stack: Stack, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """The answer to a chat request; of a stream the last chunk."""
    with stack.client as client:
        answer = client.post(CHAT, json={"model": MODEL, "messages": HELLO, **body}, headers=headers)
    if not body.get("stream") or answer.status_code != 200:
        return answer.json()
    return json.loads(answer.text.split("data: ")[-2])


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_says_how_it_came_about(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "rate_limit"}
    found = ask(stack, ASKED, stream=stream, provider={"order": ["groq", "cerebras"]})["openrouter_metadata"]
    assert (found["requested"], found["strategy"], found["attempt"]) == (MODEL, "direct", 2)
    assert [(a["provider"], a["status"]) for a in found["attempts"]] == [("Groq", 429), ("Cerebras", 200)]
    assert [e["provider"] for e in found["endpoints"]["available"] if e["selected"]] == ["Cerebras"]
    assert found["summary"] == f"available={len(found['endpoints']['available'])}, selected=Cerebras"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("headers", [None, {"x-openrouter-metadata": "disabled"}, {"x-openrouter-metadata": "1"}])
def test_nothing_is_said_unasked(stack: Stack, headers: dict[str, str] | None, stream: bool) -> None:
    assert "openrouter_metadata" not in ask(stack, headers, stream=stream)
    assert "openrouter_metadata" not in ask(stack, headers, stream=stream, provider={"only": ["nobody"]})


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_reads_the_metadata(stack: Stack, stream: bool) -> None:
    with openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as client:
        answer = client.chat.send(model=MODEL, messages=HELLO, stream=stream, x_open_router_metadata="enabled")
        if stream:
            with answer:
                answer = list(answer)[-1]
    assert answer.openrouter_metadata.endpoints.total >= len(answer.openrouter_metadata.endpoints.available) > 5
    assert answer.openrouter_metadata.generation_time >= 0


@pytest.mark.parametrize(
    ("body", "strategy"),
    [
        ({"model": f"{MODEL}:floor"}, "direct"),
        ({"model": "~anthropic/claude-haiku-latest"}, "latest"),
        ({"model": "nobody/knows", "models": [MODEL]}, "fallback"),
        ({"models": ["anthropic/claude-haiku-4.5"], "provider": {"order": ["groq", "anthropic"]}}, "direct"),
    ],
)
def test_the_strategy_is_a_word_of_the_reference(stack: Stack, body: dict[str, Any], strategy: str) -> None:
    assert ask(stack, ASKED, **body)["openrouter_metadata"]["strategy"] == strategy


def test_errors_carry_metadata_beside_them_unless_there_was_no_route(stack: Stack) -> None:
    refused = ask(stack, ASKED, provider={"only": ["nobody"]})
    found = refused["openrouter_metadata"]
    assert (refused["error"]["code"], found["attempt"], found["endpoints"]["available"]) == (404, 0, [])
    assert found["endpoints"]["total"] > 5
    stack.lab.modes["groq"] = {"mode": "error"}
    failed = ask(stack, ASKED, provider={"order": ["groq"], "allow_fallbacks": False})
    assert [a["status"] for a in failed["openrouter_metadata"]["attempts"]] == [503]
    assert "openrouter_metadata" not in ask(stack, ASKED | {"authorization": "Bearer wrong"})


def explained(stack: Stack, generation_id: str) -> dict[str, Any]:
    with stack.client as client:
        answer = client.get(EXPLAIN, params={"id": generation_id})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_a_generation_is_explained_from_its_record(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "rate_limit"}
    provider = {"order": ["groq", "cerebras"], "ignore": ["chutes/tee"]}
    found = explained(stack, ask(stack, stream=stream, provider=provider)["id"])
    assert (found["requested_model"], found["decision"]["policy"], found["decision"]["propensity"]) == (
        MODEL,
        "order",
        1,
    )
    assert [c["provider"] for c in found["candidates"]][:2] == ["Groq", "Cerebras"]
    assert [(e["reason"], e["excluded_by"], e["sentence"]) for e in found["excluded"]] == [
        ("ignored_providers", "allowed_providers", "It is in provider.ignore.")
    ]
    assert [(a["provider"], a["status"], a["error_type"], a["reason"]) for a in found["attempts"]] == [
        ("Groq", 429, "rate_limit_exceeded", "sampled"),
        ("Cerebras", 200, None, "fallback:rate_limit_exceeded"),
    ]
    assert found["attempts"][1]["ttft_ms"] <= found["attempts"][1]["duration_ms"] <= found["duration_ms"]
    assert found["replay"]["agrees"] is True
    assert "Groq stood first by the order of the request; it answered 429" in found["summary"]
    assert "; Cerebras was next in order and served" in found["summary"]


@pytest.mark.parametrize("strategy", ["price", "adjusted", "learned", "exacto"])
def test_a_draw_is_explained_with_its_probability_and_scores(stack: Stack, strategy: str) -> None:
    found = explained(stack, ask(stack, provider={"strategy": strategy})["id"])
    first = next(c for c in found["candidates"] if c["endpoint"] == found["attempts"][0]["endpoint"])
    assert first["probability"] == found["decision"]["propensity"] < 1
    assert all(c["score"] > 0 for c in found["candidates"])
    assert "USD per million tokens" in found["decision"]["score"]
    assert f"{first['provider']} was drawn with probability {first['probability']:.2g} by" in found["summary"]
    assert found["replay"]["agrees"] is True


def test_a_refused_request_is_explained_too(stack: Stack) -> None:
    with stack.client as client:
        answer = client.post(CHAT, json={"model": MODEL, "messages": HELLO, "provider": {"only": ["nobody"]}})
    found = explained(stack, answer.headers["x-generation-id"])
    assert (found["decision"], found["replay"], found["candidates"], found["attempts"]) == (None, None, [], [])
    assert {e["sentence"] for e in found["excluded"]} == {"It is not in provider.only."}
    assert found["summary"].startswith(f"{MODEL} was asked for; 0 endpoints could serve it, ")
    assert "The client got 404 not_found" in found["summary"]


def test_the_next_model_and_a_broken_stream_are_told_as_such(stack: Stack) -> None:
    stack.lab.modes |= {"anthropic": {"mode": "error"}, "groq": {"mode": "reset"}}
    first = {"model": "anthropic/claude-haiku-4.5", "models": [MODEL]}
    found = explained(stack, ask(stack, **first, stream=True, provider={"only": ["anthropic", "groq"]})["id"])
    assert f"Groq was first for {MODEL}, the next model of the request, and broke off after" in found["summary"]
    assert "begun with status 200, ended with the error" in found["summary"]


def test_a_request_without_a_route_is_explained(stack: Stack) -> None:
    with stack.client as client:
        unknown = client.post(CHAT, json={"model": "no/body", "messages": HELLO}).headers["x-generation-id"]
        malformed = client.post(CHAT, content=b"{").headers["x-generation-id"]
    assert explained(stack, unknown)["summary"].startswith(
        "no/body was asked for; no endpoint was looked at. The client got 400"
    )
    assert explained(stack, malformed)["summary"].startswith("No model was asked for; no endpoint was looked at.")


def test_a_provider_that_gives_no_answer_is_told_as_such(tmp_path: Path) -> None:
    with open_stack(tmp_path, ttft_timeout=2.0) as stack:
        stack.lab.modes["groq"] = {"mode": "hang"}
        answer = ask(stack, ASKED, stream=True, provider={"order": ["groq", "cerebras"]})
        assert [a["status"] for a in answer["openrouter_metadata"]["attempts"]] == [504, 200]
        assert (
            "Groq stood first by the order of the request; it gave no answer in"
            in explained(stack, answer["id"])["summary"]
        )


def test_a_client_that_left_is_told_as_such(stack: Stack) -> None:
    stack.lab.modes["groq"] = {"mode": "stall"}
    body = {"model": MODEL, "messages": HELLO, "stream": True, "provider": {"order": ["groq"]}}
    with stack.client as client, client.stream("POST", CHAT, json=body) as answer:
        made = answer.headers["x-generation-id"]
        next(line for line in answer.iter_lines() if line.startswith("data: "))
    until(lambda: find_on_disk(stack.lake, made), "the record is written")
    assert "was cancelled after" in explained(stack, made)["summary"]
    assert "The client left after" in explained(stack, made)["summary"]


def test_only_the_keys_owner_is_told(stack: Stack) -> None:
    made = ask(stack)["id"]
    other = create_key(open_database(stack.lake.database), "other")
    with stack.client as client:
        assert client.get(EXPLAIN, params={"id": made}, headers={"authorization": f"Bearer {other}"}).status_code == 404
        assert client.get(EXPLAIN, params={"id": "gen-1-a"}).status_code == 404
        assert client.get(EXPLAIN, params={"id": made}, headers={"authorization": ""}).status_code == 401


def test_every_reason_has_a_sentence() -> None:
    assert set(EXCLUDED_BY) == set(SENTENCES)
    assert (sentence("unsupported:tools"), code("unsupported:tools")) == (
        "It does not support tools, and others do.",
        "require_parameters",
    )
    assert (sentence("of:tomorrow"), code("of:tomorrow")) == ("of:tomorrow", None)


@pytest.mark.parametrize("sealed", [False, True])
def test_the_command_says_the_same_without_a_router(stack: Stack, sealed: bool, tmp_path: Path) -> None:
    stack.lab.modes["groq"] = {"mode": "rate_limit"}
    made = ask(stack, provider={"order": ["groq", "cerebras"]})["id"]
    found = explained(stack, made)
    until(lambda: find_on_disk(stack.lake, made), "the record is written")
    lake = stack.lake
    if sealed:
        lake = Lake(tmp_path / "elsewhere").create()
        log = RequestLog(lake, "w")
        for segment in stack.lake.log.iterdir():
            for payload in read_frames(segment.read_bytes()).payloads:
                log.append(payload)
        log.close()
        recover(lake)
        assert list(lake.log.iterdir()) == []
    said = portolan("why", made, "--data-dir", str(lake.root))
    assert said.returncode == 0, said.stderr
    assert " ".join(said.stdout.split()).startswith(
        " ".join(f"{made} {found['created_at']} {found['summary']}".split())
    )
    assert "replay     agrees\n" in said.stdout
    assert "1. groq:openai/gpt-oss-120b" in said.stdout
    assert sum(c["endpoint"] in said.stdout for c in found["candidates"]) == len(found["candidates"]) > 5
