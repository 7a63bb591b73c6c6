"""Test how the top-level fields of a JSON body are read."""

from __future__ import annotations

import pytest

from router_service.core.errors import ApiError
from router_service.core.json_fields import read_fields


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
