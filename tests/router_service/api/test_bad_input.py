"""Bad input gets the envelope and a sentence that says what to change."""

from __future__ import annotations

import pytest

from tests.conftest import Stack

CHAT = "/api/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("content", "status", "kind", "says"),
    [
        (b"{nope", 400, "invalid_request", "not valid JSON"),
        (b"[1]", 400, "invalid_request", "JSON object"),
        (b'{"messages":[{"role":"user","content":"x"}]}', 400, "invalid_request", "model is missing"),
        (b'{"model":"openai/gpt-oss-120b"}', 400, "invalid_request", "messages is missing"),
        (b'{"model":"openai/gpt-oss-120b","messages":[]}', 400, "invalid_request", "at least one message"),
        (b'{"model":7,"messages":[{"role":"user","content":"hello"}]}', 400, "invalid_request", "model must be"),
        (
            b'{"model":"acme/fake-1.0","messages":[{"role":"user","content":"hello"}]}',
            400,
            "invalid_request",
            "is not a valid model ID",
        ),
        (
            b'{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"hello"}],"max_tokens":0}',
            400,
            "invalid_request",
            "at least 1",
        ),
        (
            b'{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"hello"}],"provider":{"sort":"luck"}}',
            400,
            "invalid_request",
            "provider.sort",
        ),
        (
            b'{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"hello"}],"provider":{"only":["azure"]}}',
            404,
            "not_found",
            "permits only: azure",
        ),
        (
            b'{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"hello"}],"provider":{"max_price":{"prompt":0}}}',
            404,
            "not_found",
            "max_price",
        ),
        (b"x" * 20_000_000, 413, "payload_too_large", "exceeds the limit"),
    ],
)
def test_it_says_what_to_change(stack: Stack, content: bytes, status: int, kind: str, says: str) -> None:
    with stack.client as client:
        answer = client.post(CHAT, content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["metadata"]["error_type"]) == (status, status, kind)
    assert says in error["message"]


DEEP = "[" * 970 + "]" * 970


@pytest.mark.parametrize("model", ["openai/gpt-oss-120b", "anthropic/claude-sonnet-4.5"])
@pytest.mark.parametrize(
    "rest",
    [
        '"messages":[{"role":"user","content":"hello"}],"x":' + DEEP + "}",
        '"messages":' + DEEP + "}",
        '"messages":[{"role":"user","content":' + DEEP + "}]}",
        '"messages":[{"role":"user","content":"x"}],"provider":' + DEEP + "}",
        '"messages":[{"role":"user","content":"x"}],"reasoning":' + DEEP + "}",
        '"messages":[{"role":"user","content":"x"}],"tools":[' + DEEP + "]}",
        '"messages":[{"role":"user","content":"x"}],"metadata":' + '{"a":' * 970 + "1" + "}" * 970 + "}",
        '"messages":' + "[" * 100_000,
    ],
)
def test_a_deeply_nested_body_is_passed_on_or_gets_a_sentence(stack: Stack, model: str, rest: str) -> None:
    with stack.client as client:
        answer = client.post(CHAT, content=f'{{"model":"{model}",{rest}')
    # What a provider makes of a body that it gets is its own affair.
    assert answer.status_code in (200, 400, 502)
    if answer.status_code == 400:
        assert answer.json()["error"]["metadata"]["error_type"] == "invalid_request"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-or-v1-wrong"}, {"authorization": "Basic eA=="}])
def test_a_missing_or_wrong_key_is_401(stack: Stack, headers: dict[str, str]) -> None:
    import httpx2

    answer = httpx2.post(stack.url + CHAT, json={"model": "x", "messages": HELLO}, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["metadata"]["error_type"] == "authentication"


def test_an_unknown_path_is_404_in_the_envelope(stack: Stack) -> None:
    with stack.client as client:
        assert client.get("/api/v1/nothing").json()["error"]["code"] == 404


def test_unknown_generation_is_404(stack: Stack) -> None:
    with stack.client as client:
        assert client.get("/api/v1/generation", params={"id": "gen-1-x"}).status_code == 404
