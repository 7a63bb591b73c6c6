"""Test that an origin travels inside a token and comes out unchanged."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from router_service.core.origin import PREFIX, OriginToken, read_token, unwrap_token, wrap_token

SAFE = re.compile(r"[a-zA-Z0-9_-]+")
WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
ORIGINS = st.none() | WORD.filter(bool)


@given(ORIGINS, WORD | WORD.map(lambda text: PREFIX + text))
def test_what_was_wrapped_comes_out(origin: str | None, raw: str) -> None:
    """The raw token may be any text, even one that looks wrapped."""
    assert unwrap_token(wrap_token(origin, raw)) == (origin, raw)


@given(ORIGINS, ORIGINS, WORD)
def test_a_wrapped_token_can_be_wrapped_again(first: str | None, second: str | None, raw: str) -> None:
    inner = wrap_token(first, raw)
    assert unwrap_token(wrap_token(second, inner)) == (second, inner)


@given(ORIGINS, st.none() | WORD, WORD, st.none() | WORD)
def test_a_token_carries_what_the_part_needs(origin: str | None, form: str | None, raw: str, item: str | None) -> None:
    made = OriginToken(origin, form, raw, item)
    token = made.write()
    assert SAFE.fullmatch(token)
    assert read_token(token) == made


@given(WORD.filter(lambda text: not text.startswith(PREFIX)))
def test_other_texts_are_raw_tokens(text: str) -> None:
    assert unwrap_token(text) == (None, text)
    assert wrap_token(None, text) == wrap_token("", text) == text


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_a_damaged_token_has_an_origin_that_no_provider_has(body: bytes) -> None:
    token = PREFIX + body.decode("latin-1")
    if read_token(token) is None:
        assert unwrap_token(token) == ("", token)


def test_a_token_cut_anywhere_is_recognised_as_damaged() -> None:
    token = OriginToken("openai_responses/org", "openai-responses-v1", "x" * 50).write()
    for length in range(len(PREFIX), len(token)):
        assert unwrap_token(token[:length])[0] == "", length


def test_broken_text_in_a_token_is_replaced() -> None:
    assert unwrap_token(wrap_token("a", "x\ud83d")) == ("a", "x�")
