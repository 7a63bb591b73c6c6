"""Tokens that name their origin."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from router_service.api.skins.messages.origin_token import PREFIX, OriginToken, read_token, unwrap, wrap

SAFE = re.compile(r"^[a-zA-Z0-9_-]+$")
WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.none() | WORD, st.none() | WORD, WORD)
def test_a_wrapped_token_returns_with_its_origin(origin: str | None, name: str | None, raw: str) -> None:
    token = wrap(origin, name, raw)
    assert SAFE.match(token)
    assert unwrap(token) == (origin, raw)
    found = read_token(token)
    assert found is not None and found.format == name


@given(WORD)
def test_a_token_of_a_provider_is_returned_as_it_is(raw: str) -> None:
    if not raw.startswith(PREFIX):
        assert unwrap(raw) == (None, raw)


def test_a_token_that_begins_like_ours_can_be_wrapped_too() -> None:
    inner = wrap("a", None, "raw")
    assert unwrap(wrap("b", None, inner)) == ("b", inner)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_a_damaged_token_has_an_origin_that_no_provider_has(body: bytes) -> None:
    token = PREFIX + body.decode("latin-1")
    if read_token(token) is None:
        assert unwrap(token) == ("", token)


def test_a_token_cut_anywhere_is_recognised_as_damaged() -> None:
    token = OriginToken("openai_responses/org", "openai-responses-v1", "x" * 50).write()
    for length in range(len(PREFIX), len(token)):
        assert unwrap(token[:length])[0] == "", length


def test_broken_text_in_a_token_is_replaced() -> None:
    assert unwrap(wrap("a", None, "x\ud83d")) == ("a", "x�")
