"""Tests the bounds that protect all readers of a JSON body."""

from __future__ import annotations

import json

import pytest

from router_service.core.errors import ApiError
from router_service.core.json_fields import MAX_NESTING, check_text, read_fields


@pytest.mark.parametrize("pair", ["[]", "{}"])
@pytest.mark.parametrize("beside", ["", "[[1],{}],"])
def test_the_limit_is_exact(pair: str, beside: str) -> None:
    """Values beside the deep one change nothing, nor do brackets within strings."""

    def nested(levels: int) -> bytes:
        opening, closing = ("[", "]") if pair == "[]" else ('{"a":', "}")
        strings = json.dumps('[{"\\' * 300)
        return f"[{beside}{strings},{opening * (levels - 1)}1{closing * (levels - 1)}]".encode()

    check_text("x", nested(MAX_NESTING))
    with pytest.raises(ApiError, match="x is nested more than 200 levels deep"):
        check_text("x", nested(MAX_NESTING + 1))


@pytest.mark.parametrize(
    "text",
    [b"[" * 2_000_000, b'"\\"' * 700_000, b"[]" * 1_000_000, (b"[" * 9 + b"]" * 9) * 100_000],
    ids=["open", "quotes", "flat", "nine levels"],
)
def test_hostile_text_is_judged_in_linear_time(text: bytes) -> None:
    """None of these takes noticeable time; quadratic work on megabytes would not end."""
    if text.startswith(b"[[[") and b"]" not in text:
        with pytest.raises(ApiError):
            check_text("x", text)
    else:
        check_text("x", text)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[1]", "must be a JSON object"),
        (b"{nope", "is not valid JSON"),
        (b'{"a":"\xff"}', "is not valid UTF-8 at byte 6"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested more than"),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(ApiError, match=says) as raised:
        read_fields(body)
    assert raised.value.code == 400


def test_fields_keep_their_order_and_bytes() -> None:
    fields = read_fields('{"b": 1.50, "a":"é"}'.encode())
    assert [(name, bytes(raw)) for name, raw in fields.items()] == [("b", b"1.50"), ("a", '"é"'.encode())]
