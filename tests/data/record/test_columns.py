"""The declaration of a column says all that is known of it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pyarrow as pa
import pytest

from data.record.columns import Column, Int32, arrow_schema, declared_columns
from data.record.documentation import NESTED
from data.record.record import RECORD_SCHEMA, RECORD_VERSION, Record

UNITS = {"_us": "µs", "_nano": "nano-USD", "_tokens": "tokens", "_bytes": "bytes"}


class _Part(msgspec.Struct):
    size: Annotated[Int32 | None, Column("Size", "bytes", since=2)] = None


class _Row(msgspec.Struct):
    name: Annotated[str, Column("Name")]
    parts: Annotated[list[_Part] | None, Column("Parts")] = None
    raw: Annotated[msgspec.Raw, pa.list_(pa.float64()), Column("Raw", nullable=True)] = msgspec.Raw(b"\xc0")


def test_one_line_makes_a_field_of_the_schema() -> None:
    parts = pa.list_(pa.struct([("size", pa.int32())]))
    wanted = [pa.field("name", pa.string(), False), pa.field("parts", parts), pa.field("raw", pa.list_(pa.float64()))]
    assert arrow_schema(_Row).equals(pa.schema(wanted))


def test_a_field_without_description_or_arrow_type_is_refused() -> None:
    class Undescribed(msgspec.Struct):
        name: str

    class Untyped(msgspec.Struct):
        name: Annotated[complex, Column("Name")]

    with pytest.raises(TypeError, match="name has no Column"):
        list(declared_columns(Undescribed))
    with pytest.raises(TypeError, match="complex"):
        arrow_schema(Untyped)


@pytest.mark.parametrize("struct", [Record, *NESTED.values()])
def test_units_follow_the_names_and_versions_are_known(struct: type[msgspec.Struct]) -> None:
    for name, _, _, column in declared_columns(struct):
        unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), None)
        assert unit is None or column.unit == unit, name
        assert 1 <= column.since <= RECORD_VERSION, name


def test_new_columns_are_null_or_have_a_default() -> None:
    required = set(Record.__struct_fields__[: -len(Record.__struct_defaults__)])
    assert {column.name for column in declared_columns(Record) if column.column.since > 1} & required == set()


def test_nested_columns_have_their_documentation() -> None:
    nested = {
        field.name
        for field in RECORD_SCHEMA
        if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type)
    }
    assert nested == set(NESTED)
