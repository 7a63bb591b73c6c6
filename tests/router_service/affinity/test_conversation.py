"""Test the identification of a request's conversation from the ends of its messages."""

from __future__ import annotations

import msgspec
import pytest

from router_service.affinity.conversation import asks_for_hour_cache, conversation_key, is_pinned, opening_digest
from router_service.api.parse_head import parse_head
from router_service.core.request import Head

Message = dict[str, object]
SYSTEM: Message = {"role": "system", "content": "Be brief."}
FIRST: Message = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
LATER: list[Message] = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "and then?"}]


def head(messages: list[Message], **more: object) -> Head:
    return parse_head(msgspec.json.encode({"model": "a/b", "messages": messages, **more}))


def raw(*messages: Message) -> bytes:
    return msgspec.json.encode(messages)


def test_a_conversation_is_identified_by_its_opening() -> None:
    marked = [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]
    known = opening_digest(raw(SYSTEM, FIRST))
    assert (
        known == opening_digest(raw(SYSTEM, FIRST, *LATER)) == opening_digest(raw(SYSTEM, {**FIRST, "content": marked}))
    )
    assert (
        len({known, opening_digest(raw(FIRST)), opening_digest(raw(SYSTEM, {"role": "user", "content": "bye"}))}) == 3
    )
    assert opening_digest(raw(SYSTEM)) == b""
    assert opening_digest(b"[1]") == opening_digest(b'["') == b""


@pytest.mark.parametrize("size", [5_000, 100_000, 400_000])
def test_long_openings_are_distinguished_within_the_bytes_that_are_read(size: int) -> None:
    system: Message = {"role": "system", "content": "é" * (size // 2)}
    known = opening_digest(raw(system, FIRST))
    assert known == opening_digest(raw(system, FIRST, *LATER)) != b""
    assert (known == opening_digest(raw(system, {"role": "user", "content": "bye"}))) is (size > 262_144)


def test_keys_depend_on_the_account_and_the_session_id_precedes_the_cache_key() -> None:
    def digest(key: str, headers: dict[bytes, bytes] | None = None, **more: object) -> bytes:
        found = conversation_key(key, head([SYSTEM, FIRST, *LATER], **more), headers or {})
        assert found is not None
        return found.digest

    assert digest("k", session_id="s", prompt_cache_key="p") == digest("k", session_id="s")
    assert digest("k", {b"x-session-id": b"s"}) == digest("k", {b"x-session-id": b"other"}, session_id="s")
    different = [digest("k"), digest("l"), digest("k", session_id="s"), digest("k", prompt_cache_key="s")]
    assert len(set(different)) == 4


def test_a_short_first_turn_has_a_key_only_if_it_may_leave_something_pending() -> None:
    assert conversation_key("k", head([SYSTEM, FIRST]), {}) is None
    assert conversation_key("k", head([SYSTEM, FIRST], tools=[]), {}) is not None
    assert conversation_key("k", head([SYSTEM, {"role": "user", "content": "x" * 5000}]), {}) is not None


CALL: Message = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"role":1}'}}]}
RESULT: Message = {"content": 'a long "role": "user" story', "role": "tool", "tool_call_id": "1"}
SIGNED: Message = {"reasoning_details": [{"type": "reasoning.text", "signature": "abc"}], "role": "assistant"}


@pytest.mark.parametrize(
    ("messages", "pinned"),
    [
        ([FIRST], False),
        ([FIRST, CALL, RESULT], True),
        ([FIRST, CALL, RESULT, RESULT], True),
        ([FIRST, CALL, RESULT, *LATER], False),
        ([FIRST, SIGNED, LATER[1]], True),
        ([FIRST, SIGNED, RESULT, *LATER], False),
        ([FIRST, {"role": "assistant", "content": 'the word "signature": "x"'}, FIRST], False),
        ([FIRST, SIGNED | {"reasoning_details": [{"type": "reasoning.text", "signature": None}]}, FIRST], False),
    ],
)
def test_pending_tool_results_and_signed_reasoning_pin_a_conversation(messages: list[Message], pinned: bool) -> None:
    assert is_pinned(raw(*messages)) is pinned


def test_an_hour_cache_is_found_in_each_place_that_can_request_it() -> None:
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert asks_for_hour_cache(head([FIRST], cache_control=hour))
    assert asks_for_hour_cache(
        head([SYSTEM | {"content": [{"type": "text", "text": "x", "cache_control": hour}]}, FIRST])
    )
    assert not asks_for_hour_cache(head([FIRST], cache_control={"type": "ephemeral", "ttl": "5m"}))
