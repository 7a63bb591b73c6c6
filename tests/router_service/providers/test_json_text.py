"""Test the JSON that is made of a text which a model was only asked to write as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.providers.json_text import JsonText

HEALED: list[tuple[str, Any]] = [
    ('{"a":1}', {"a": 1}),
    ('Sure, here it is:\n```json\n{"a": [1, 2,],}\n```\nAnything else?', {"a": [1, 2]}),
    ("{'a': 'it\\'s \"x\"', b: True, c: None}", {"a": 'it\'s "x"', "b": True, "c": None}),
    ('{"a": "two\nlines\tand \\d"}', {"a": "two\nlines\tand \\d"}),
    ('{"a": {"b": [1, {"c": "cut', {"a": {"b": [1, {"c": "cut"}]}}),
    ('{"a":', {"a": None}),
    ('{"a": [1, 2}', {"a": [1, 2]}),
    ('{"a": 1]}', {"a": 1}),
    ('{"a": , "b": NaN}', {"a": None, "b": None}),
    ("```\n[1, 2]\n```", [1, 2]),
    ('Use {name} so: {"a": 1} and {"b": 2}', {"a": 1}),
    ("{}", {}),
]


def healed(text: str, cuts: list[int] | None = None, *, is_complete: bool = True) -> str:
    """Return what is made of ``text`` that comes in pieces."""
    places = sorted(cut % (len(text) + 1) for cut in cuts or ())
    json_text = JsonText()
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    return "".join(map(json_text.feed, pieces)) + json_text.end(is_complete=is_complete)


@given(st.sampled_from(HEALED), st.lists(st.integers(0, 100), max_size=6))
def test_text_becomes_json_wherever_it_is_cut(case: tuple[str, Any], cuts: list[int]) -> None:
    text, value = case
    assert json.loads(healed(text, cuts)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.booleans(), st.lists(st.integers(0, 400), max_size=4))
def test_json_keeps_its_value(value: dict[str, Any], is_ascii: bool, cuts: list[int]) -> None:
    assert json.loads(healed(json.dumps(value, ensure_ascii=is_ascii, indent=1), cuts)) == value


@pytest.mark.parametrize("text", ["I cannot do that.", "", "A set {1, 2} in words", "x" * 30_000])
def test_words_without_json_are_passed_on(text: str) -> None:
    assert healed(text, [7, 25_000]) == text


def test_an_answer_that_was_cut_off_is_not_closed() -> None:
    assert healed('Here: {"a": "x', is_complete=False) == '{"a": "x'
