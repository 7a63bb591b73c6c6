"""Every decision can be asked for its reasons: in the answer, from the log, and before anything is sent."""

from __future__ import annotations

import json
from typing import Any

import openrouter
import pytest

from tests.conftest import House

CHAT = "/api/v1/chat/completions"
MODEL = "openai/gpt-oss-120b"
HELLO = [{"role": "user", "content": "Say hello to the harbour."}]
ASKED = {"x-openrouter-metadata": "Enabled"}


def ask(house: House, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """The answer to a chat request; of a stream the last chunk."""
    with house.client as client:
        answer = client.post(CHAT, json={"model": MODEL, "messages": HELLO, **body}, headers=headers)
    if not body.get("stream") or answer.status_code != 200:
        return answer.json()
    return json.loads(answer.text.split("data: ")[-2])


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_says_how_it_came_about(house: House, stream: bool) -> None:
    house.lab.modes["groq"] = {"mode": "rate_limit"}
    found = ask(house, ASKED, stream=stream, provider={"order": ["groq", "cerebras"]})["openrouter_metadata"]
    assert (found["requested"], found["strategy"], found["attempt"]) == (MODEL, "direct", 2)
    assert [(a["provider"], a["status"]) for a in found["attempts"]] == [("Groq", 429), ("Cerebras", 200)]
    assert [e["provider"] for e in found["endpoints"]["available"] if e["selected"]] == ["Cerebras"]
    assert found["summary"] == f"available={len(found['endpoints']['available'])}, selected=Cerebras"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("headers", [None, {"x-openrouter-metadata": "disabled"}, {"x-openrouter-metadata": "1"}])
def test_nothing_is_said_unasked(house: House, headers: dict[str, str] | None, stream: bool) -> None:
    assert "openrouter_metadata" not in ask(house, headers, stream=stream)
    assert "openrouter_metadata" not in ask(house, headers, stream=stream, provider={"only": ["nobody"]})


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_reads_the_metadata(house: House, stream: bool) -> None:
    with openrouter.OpenRouter(api_key=house.key, server_url=f"{house.url}/api/v1") as client:
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
def test_the_strategy_is_a_word_of_the_reference(house: House, body: dict[str, Any], strategy: str) -> None:
    assert ask(house, ASKED, **body)["openrouter_metadata"]["strategy"] == strategy


def test_errors_carry_metadata_beside_them_unless_there_was_no_route(house: House) -> None:
    refused = ask(house, ASKED, provider={"only": ["nobody"]})
    found = refused["openrouter_metadata"]
    assert (refused["error"]["code"], found["attempt"], found["endpoints"]["available"]) == (404, 0, [])
    assert found["endpoints"]["total"] > 5
    house.lab.modes["groq"] = {"mode": "error"}
    failed = ask(house, ASKED, provider={"order": ["groq"], "allow_fallbacks": False})
    assert [a["status"] for a in failed["openrouter_metadata"]["attempts"]] == [503]
    assert "openrouter_metadata" not in ask(house, ASKED | {"authorization": "Bearer wrong"})
