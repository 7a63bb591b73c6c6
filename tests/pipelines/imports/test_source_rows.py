"""Rows of odd files: each readable one is yielded with its line, each other one is a fault at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.imports import source_rows
from pipelines.imports.source_rows import csv_rows, json_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(objects=OBJECTS, form=st.sampled_from(["array", "lines", "pretty"]), chunk=st.integers(1, 40))
def test_every_form_of_json_yields_the_same_rows(
    objects: list[dict[str, object]], form: str, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    objects = [{f"x{name}": value for name, value in one.items()} for one in objects]
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    if form == "lines":
        text = "".join(json.dumps(one) + "\n" for one in objects)
    else:
        text = json.dumps(objects, indent=2 if form == "pretty" else None)
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_rows, "CHUNK_BYTES", chunk)
        rows = list(json_rows(path))
    assert [row.values for row in rows] == objects
    assert {row.fault for row in rows} == {None}
    if form == "lines":
        assert [row.line for row in rows] == list(range(1, len(objects) + 1))


def test_an_object_that_is_too_large_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_rows, "MAX_VALUE_BYTES", 1000)
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": 1}}\n{{"b": "{"x" * 200_000}"}}\n{{"c": {{"d": 2}}}}\n')
    rows = list(json_rows(path))
    assert [(row.line, row.values) for row in rows] == [(1, {"a": 1}), (2, {}), (3, {"c": {"d": 2}})]
    assert rows[1].fault


@pytest.mark.parametrize(
    ("content", "good", "faults"),
    [
        (b'{"a": "\xff"}\n{"b": 1}\n', [{"b": 1}], [1]),
        (b'{"a": "open\n{"b": 1}\n', [{"b": 1}], [1]),
        (b'{"b": 1}\nplain text\n{"c": 1}', [{"b": 1}, {"c": 1}], [2]),
        (b'\xef\xbb\xbf{"b": 1}', [{"b": 1}], []),
        (b'[{"b": 1}, {"c": ', [{"b": 1}], [1]),
        (b'{"data": [{"b": 1}, 5]}', [{"b": 1}], [1]),
        (b"", [], []),
        (b"[" * 100_000 + b"{}", [{}], []),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, [], [1]),
    ],
)
def test_broken_json(content: bytes, good: list[dict[str, object]], faults: list[int], tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    rows = list(json_rows(path))
    assert [row.values for row in rows if row.fault is None] == good
    assert [row.line for row in rows if row.fault is not None] == faults


def test_a_csv_line_without_end_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_rows, "MAX_LINE_CHARACTERS", 500)
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n" + b"x" * 5000 + b"\n3,\xff\n")
    rows = list(csv_rows(path, frozenset({"a", "b"})))
    assert [(row.line, row.values) for row in rows if row.fault is None] == [
        (2, {"a": "1", "b": "2"}),
        (4, {"a": "3", "b": "\ufffd"}),
    ]
    assert [row.line for row in rows if row.fault] == [3]
