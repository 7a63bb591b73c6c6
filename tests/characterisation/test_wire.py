"""Characterises the translation of all wire formats: every fixture, streamed and not, in several chunkings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.characterisation.conftest import Market
from tests.characterisation.golden import (
    FOLDER,
    SUFFIX,
    Golden,
    difference,
    known_wrong,
    message,
    normalise,
    sections,
    shown_request,
)
from tests.characterisation.provider import Exchange
from tests.wire_cases import FORMATS, Mode, WireCase, load_cases

CHAT = "/api/v1/chat/completions"
EXCHANGES = [
    pytest.param(case, mode, id=f"{case.id}.{mode}")
    for name in FORMATS
    for case in load_cases(name)
    for mode in case.modes
]
# What a streamed request has in addition.
STREAMED: dict[str, dict[str, Any]] = {
    "openai_chat": {"stream": True, "stream_options": {"include_usage": True}},
    "openai_responses": {"stream": True, "stream_options": {"include_obfuscation": False}},
    "anthropic_messages": {"stream": True},
    # The address says that a stream is wanted.
    "gemini": {},
}


@pytest.mark.parametrize(("case", "mode"), EXCHANGES)
def test_the_bytes_are_those_of_the_golden(market: Market, golden: Golden, case: WireCase, mode: Mode) -> None:
    name, gated = f"{case.id}.{mode}", _is_gated(case, mode)
    exchange, found = _exchange(market, case, mode, "gated" if gated else "whole")
    golden.check(name, found + _generation(market, exchange))
    if mode == "stream" and case.stream is not None:
        if gated:
            exchange, again = _exchange(market, case, mode, "whole")
            golden.check_variant(f"{name}.whole", name, again + _generation(market, exchange))
        else:
            for chunking in ("events", "cuts"):
                _, again = _exchange(market, case, mode, chunking)
                assert not difference(normalise(found), normalise(again)), f"in {chunking} the answer is another"
    if exchange.received:
        _check_request(case, mode, exchange.received[0])


def test_every_known_wrong_golden_exists() -> None:
    requests = {f"{param.values[0].id}.request" for param in EXCHANGES}
    unknown = [n for n in known_wrong() if n not in requests and not (FOLDER / f"{n}{SUFFIX}").exists()]
    assert not unknown
    assert all(sentence.endswith(".") for sentence in known_wrong().values())


def test_every_golden_belongs_to_a_test() -> None:
    expected = {str(param.id) for param in EXCHANGES}
    variants = {f"{param.id}.whole" for param in EXCHANGES if _is_gated(*param.values)}
    folders = [FOLDER / name for name in FORMATS]
    found = {str(p.relative_to(FOLDER)).removesuffix(SUFFIX) for folder in folders for p in folder.glob("*")}
    assert found - variants == expected


def _is_gated(case: WireCase, mode: Mode) -> bool:
    """Return whether the order of what the router reads and sends matters: then the provider goes on by a gate."""
    return mode == "stream" and case.gate_after is not None


def _exchange(market: Market, case: WireCase, mode: Mode, chunking: str) -> tuple[Exchange, bytes]:
    exchange = market.provider.script(case, streamed=mode == "stream", chunking=chunking)
    body = case.request | {"model": case.id} | ({"stream": True} if mode == "stream" else {})
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    with market.client.stream("POST", CHAT, content=content, headers={"content-type": "application/json"}) as answer:
        parts = []
        for part in answer.iter_raw():
            parts.append(part)
            exchange.gate.set()
    exchange.generation_id = answer.headers["x-generation-id"]
    response = message(f"HTTP/1.1 {answer.status_code}", answer.headers.multi_items(), b"".join(parts))
    requests = b"\n".join(map(shown_request, exchange.received))
    return exchange, sections(requests_to_the_provider=requests, response_to_the_client=response)


def _generation(market: Market, exchange: Exchange) -> bytes:
    found = market.lookup.get("/api/v1/generation", params={"id": exchange.generation_id})
    return sections(generation=message(f"HTTP/1.1 {found.status_code}", [], found.content))


def _check_request(case: WireCase, mode: Mode, received: bytes) -> None:
    """Compare with the documented request, in meaning: a known difference must be one."""
    if case.documented_request is None:
        return
    streamed = {name: value for name, value in STREAMED[case.format].items() if name == "stream" or case.stream_options}
    expected = case.documented_request | (streamed if mode == "stream" else {})
    sent = json.loads(received.partition(b"\r\n\r\n")[2])
    if f"{case.id}.request" in known_wrong():
        assert sent != expected, "the request is now the documented one: update known_wrong.toml"
    else:
        assert sent == expected
