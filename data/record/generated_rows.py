"""Make tables of the record's columns from arrays, for rows that are generated instead of logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from data.record.record import RECORD_SCHEMA

# The meters of generated charges, in the order of their arrays.
METERS = ("prompt", "completion", "input_cache_read")


def record_table(columns: Mapping[str, Any], rows: int) -> pa.Table:
    """Return ``rows`` rows with the columns of ``RECORD_SCHEMA``.

    A column that is not given is null, or zero or empty where it must not be null.
    """
    return pa.Table.from_arrays([_column(field, columns, rows) for field in RECORD_SCHEMA], schema=RECORD_SCHEMA)


def struct_lists(name: str, columns: Mapping[str, Any], offsets: Any) -> pa.Array:
    """Return the list of structs of the column ``name``; row ``n`` has those from ``offsets[n]`` on."""
    kind: Any = RECORD_SCHEMA.field(name).type
    rows = int(offsets[-1])
    children = [_column(field, columns, rows) for field in kind.value_type]
    flat = pa.StructArray.from_arrays(children, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat, type=kind)


def meter_charges(quantities: Sequence[Any], nanos: Sequence[Any]) -> pa.Array:
    """Return the charges of each row, in nano-USD: one array of quantities and one of costs for each of ``METERS``."""
    rows, meters = len(quantities[0]), len(METERS)
    columns: dict[str, Any] = {
        "meter": pick(METERS, np.tile(np.arange(meters), rows)),
        "quantity": np.stack(quantities, 1).ravel(), "nano": np.stack(nanos, 1).ravel(),
    }  # fmt: skip
    return struct_lists("charges", columns, np.arange(rows + 1) * meters)


def pick(values: Sequence[Any], places: Any) -> pa.Array:
    """Return the value at each place, null at -1."""
    return pa.array(list(values)).take(pa.array(places, mask=places < 0))


def _column(field: pa.Field, columns: Mapping[str, Any], rows: int) -> pa.Array:
    found = columns.get(field.name)
    if found is not None:
        array = found if isinstance(found, pa.Array | pa.ChunkedArray) else pa.array(found)
        return array.cast(field.type)
    if field.nullable and field.name not in ("started_us", "step"):
        return pa.nulls(rows, field.type)
    empty: Any = {"task": "chat", "api_type": "chat"}.get(field.name, "") if field.type == pa.string() else 0
    empty = [] if pa.types.is_list(field.type) else bool(empty) if pa.types.is_boolean(field.type) else empty
    return pa.array([empty], field.type).take(pa.array(np.zeros(rows, np.int64)))
