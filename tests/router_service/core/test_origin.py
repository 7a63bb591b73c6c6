"""Tests that an origin travels inside a token and comes out unchanged."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.origin import MAX_ORIGIN_BYTES, PREFIX, unwrap_token, wrap_token

ORIGINS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(ORIGINS, st.text(max_size=20) | st.text(max_size=20).map(lambda text: PREFIX + text))
def test_what_was_wrapped_comes_out(origin: str | None, raw: str) -> None:
    """The raw token may be any text, even one that looks wrapped."""
    assert unwrap_token(wrap_token(origin, raw)) == (origin, raw)


@given(ORIGINS, ORIGINS, st.text(max_size=20))
def test_a_wrapped_token_can_be_wrapped_again(first: str | None, second: str | None, raw: str) -> None:
    inner = wrap_token(first, raw)
    assert unwrap_token(wrap_token(second, inner)) == (second, inner)


@pytest.mark.parametrize(
    "text", ["", "c1", "ptl_", "ptl_0", "ptl_zzab", "ptl_04ab", "ptl_02!!x", "ptl_01ax", "ptl_04____x"]
)
def test_other_texts_are_raw_tokens(text: str) -> None:
    assert unwrap_token(text) == (None, text)
    assert wrap_token(None, text) == text


def test_an_id_keeps_its_alphabet() -> None:
    """Anthropic takes tool-call ids of these characters alone."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", wrap_token("gemini/värld", "call_1"))


def test_a_long_origin_is_refused() -> None:
    wrap_token("a" * MAX_ORIGIN_BYTES, "x")
    with pytest.raises(ValueError, match="more than 191 bytes"):
        wrap_token("a" * (MAX_ORIGIN_BYTES + 1), "x")
