"""Arguments of tool calls as JSON objects."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jiter import from_json

from router_service.api.skins.messages.arguments import ArgumentsWriter, arguments_object
from router_service.core.outgoing_json import json_text, outgoing_json, well_formed
from tests.router_service.api.skins.messages.answer_strategies import ARGUMENTS, OBJECT


@given(OBJECT, st.integers(0, 3))
def test_a_valid_object_stays_what_it_is(found: dict[str, object], indent: int) -> None:
    text = json.dumps(found, indent=indent or None)
    assert json.loads(bytes(arguments_object(f" {text}\n"))) == json.loads(text)


@given(ARGUMENTS, st.data())
def test_fragments_are_always_the_beginning_of_one_object(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    writer, sent = ArgumentsWriter(), ""
    for start, end in zip([0, *places], [*places, len(text)], strict=True):
        sent += writer.feed(text[start:end])
        if sent:
            assert isinstance(from_json(sent.encode(), partial_mode=True), dict)
    sent += writer.finish()
    assert sent.encode() == bytes(arguments_object(text))
    assert isinstance(json.loads(sent), dict)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ("{ }", {}),
        ("not json", {"_invalid_arguments": "not json"}),
        ('{"a": ', {"_invalid_arguments": '{"a": '}),
        ('{"path":"a","command":"rm -rf /t', {"path": "a", "_invalid_arguments": '{"path":"a","command":"rm -rf /t'}),
        ('{"a":1}{"b":2}', {"a": 1, "_invalid_arguments": '{"a":1}{"b":2}'}),
        ('{"a":1,}', {"a": 1, "_invalid_arguments": '{"a":1,}'}),
        ("[1]", {"_invalid_arguments": "[1]"}),
        ("null", {"_invalid_arguments": "null"}),
        ('{"a":[1}]}', {"_invalid_arguments": '{"a":[1}]}'}),
        (r'{"a":"\"}{,","b":{"c":[1,{"d":2}]}}', {"a": '"}{,', "b": {"c": [1, {"d": 2}]}}),
        ('{"a":NaN}', {"_invalid_arguments": '{"a":NaN}'}),
    ],
)
def test_what_is_no_object_is_kept_as_text(text: str, wanted: object) -> None:
    assert json.loads(bytes(arguments_object(text))) == wanted


def test_members_are_passed_on_once_they_are_complete() -> None:
    writer = ArgumentsWriter()
    pieces = [writer.feed(text) for text in ('{"pa', 'th":"a.txt"', ',"text":"lo', 'ng"}')]
    assert pieces == ["", "", '{"path":"a.txt"', ',"text":"long"']
    assert writer.finish() == "}"


def test_text_can_be_cut_between_any_two_characters() -> None:
    text = r'{"a":"\"}\\","b":[{"c":"\u00e9,"}]}'
    writer = ArgumentsWriter()
    sent = "".join(map(writer.feed, text)) + writer.finish()
    assert sent == text


def test_deeply_nested_and_huge_arguments_end_as_text() -> None:
    for text in ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"a":' + "9" * 5_000 + "}"):
        assert json.loads(bytes(arguments_object(text))) == {"_invalid_arguments": text}


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    assert well_formed("a\ud83d b") == "a� b"
    assert well_formed("\ud83d\ude00") == "😀"
    assert json.loads(outgoing_json({"\ud83d": ["\udc00", 1]})) == {"�": ["�", 1]}
    assert json.loads(json_text('\ud83d"')) == '�"'
    assert json.loads(bytes(arguments_object('{"a":"\ud83d"}'))) == {"_invalid_arguments": '{"a":"�"}'}
