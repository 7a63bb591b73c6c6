"""Test the bounds that protect all readers of a JSON body."""

from __future__ import annotations

import json
import random

import pytest

from router_service.core.errors import ApiError
from router_service.core.json_structure import (
    MAX_CONTAINERS,
    MAX_MEMBERS,
    MAX_NESTING,
    MAX_VALUES,
    SLICE_BYTES,
    check_structure,
)

TEXT = json.dumps('[{"\\' + ",:" * 50)


def nested(levels: int, pair: str, beside: str = "") -> bytes:
    """Return a list of ``levels`` levels."""
    opening, closing = ("[", "]") if pair == "[]" else ('{"a":', "}")
    strings = json.dumps('[{"\\' * 300)
    return f"[{beside}{strings},{opening * (levels - 1)}1{closing * (levels - 1)}]".encode()


@pytest.mark.parametrize("pair", ["[]", "{}"])
@pytest.mark.parametrize("beside", ["", "[[1],{}],", TEXT + ",", "1" * SLICE_BYTES + ","])
def test_the_limit_of_levels_is_exact(pair: str, beside: str) -> None:
    """Values beside the deep one change nothing, nor do brackets within strings."""
    check_structure("x", nested(MAX_NESTING, pair, beside))
    with pytest.raises(ApiError, match="x is nested more than 200 levels deep"):
        check_structure("x", nested(MAX_NESTING + 1, pair, beside))


@pytest.mark.parametrize(
    ("unit", "limit", "sentence"),
    [
        ("[]", MAX_CONTAINERS - 1, f"more than {MAX_CONTAINERS:,} lists and objects"),
        ("1", MAX_VALUES, f"more than {MAX_VALUES:,} values"),
    ],
)
def test_the_limits_of_lists_are_exact(unit: str, limit: int, sentence: str) -> None:
    check_structure("x", f"[{','.join([unit] * (limit - 1))}]".encode())
    with pytest.raises(ApiError, match=f"x has {sentence}; send fewer"):
        check_structure("x", f"[{','.join([unit] * (limit + 1))}]".encode())


def test_the_limit_of_fields_is_exact() -> None:
    members = ['"a,:[":1'] * MAX_MEMBERS
    check_structure("x", f"{{{','.join(members)}}}".encode())
    with pytest.raises(ApiError, match=f"x has more than {MAX_MEMBERS:,} fields in all its objects"):
        check_structure("x", f"{{{','.join([*members, members[0]])}}}".encode())


@pytest.mark.parametrize("unit", ["[", "{", ",", ":", '\\"', "\\\\", "x,", '\\\\\\"'])
def test_what_is_in_a_text_does_not_count(unit: str) -> None:
    """Slices end within strings and within escapes, at each place of ``unit``."""
    text = unit * (1_000_000 // len(unit))
    for shift in range(len(unit)):
        assert check_structure("x", f'[["{"y" * shift}{text}"],[1]]'.encode()) >= 4


def test_values_are_never_counted_too_low() -> None:
    """The number of values of a nested text is known at least, wherever its slices end."""
    draw = random.Random(7)
    words = ["a", '"', "\\", '\\"', "[,:{", "é", "\n"]
    found = []
    while len(found) < 3000:
        found.append({"".join(draw.choices(words, k=5)): ["".join(draw.choices(words, k=draw.randrange(90)))]})
    # The list, and of each item the object, the list within it and the text within that.
    assert check_structure("x", json.dumps(found).encode()) >= 1 + 3 * len(found)
    assert check_structure("x", json.dumps(found).encode()) <= 2 + 3 * len(found)


@pytest.mark.parametrize(
    "text",
    [b"[" * 2_000_000, b"[]" * 1_000_000, (b"[" * 9 + b"]" * 9) * 100_000, (b"[" * 150 + b"]" * 150) * 50_000],
    ids=["open", "flat", "nine levels", "many levels"],
)
def test_hostile_text_is_refused_early(text: bytes) -> None:
    with pytest.raises(ApiError):
        check_structure("x", text)


def test_quotes_alone_are_judged_in_linear_time() -> None:
    """They take no noticeable time; quadratic work on megabytes would not end."""
    for text in (b'"\\"' * 700_000, b'"' * 2_000_000, b"\\" * 2_000_001):
        check_structure("x", text)
