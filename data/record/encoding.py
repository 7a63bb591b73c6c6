"""Encode records for the log, and decode the payloads of every record version.

A payload is the MessagePack map of a ``Record``. Version 1 wrote every field; later versions omit those that have
their default. Both decode alike: a field that is absent has its default, an unknown field is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from data.record.record import RECORD_SCHEMA, Record

encode_record: Callable[[Record], bytes] = msgspec.msgpack.Encoder().encode
decode_record: Callable[[bytes], Record] = msgspec.msgpack.Decoder(Record).decode

_decode_rows = msgspec.msgpack.Decoder(list[dict[str, Any]] | None).decode
_values = attrgetter(*RECORD_SCHEMA.names)


def record_row(payload: bytes) -> dict[str, Any]:
    """Return a payload as a row with every column of the record; ``started_at`` is Unix microseconds.

    Raises ``msgspec.DecodeError`` for a payload that is not a record.
    """
    record = decode_record(payload)
    row = {name: getattr(record, name) for name in RECORD_SCHEMA.names}
    row["candidates"] = _decode_rows(record.candidates)
    row["arms"] = _decode_rows(record.arms)
    row["attempts"] = [msgspec.structs.asdict(attempt) for attempt in record.attempts]
    row["charges"] = None if record.charges is None else [msgspec.structs.asdict(one) for one in record.charges]
    return row


def to_table(payloads: Sequence[bytes]) -> pa.Table:
    """Return payloads as a table of ``RECORD_SCHEMA``.

    Raises ``msgspec.DecodeError`` or ``pa.ArrowException`` for a payload that is not a record.
    """
    return records_table([decode_record(payload) for payload in payloads])


def records_table(records: Iterable[Record]) -> pa.Table:
    """Return records as a table of ``RECORD_SCHEMA``. Raises as ``to_table`` does, for values that do not fit."""
    columns = list(zip(*map(_values, records), strict=True))
    columns = columns or [()] * len(RECORD_SCHEMA)
    arrays = [_array(list(column), field) for field, column in zip(RECORD_SCHEMA, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=RECORD_SCHEMA)


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    if values and isinstance(values[0], msgspec.Raw):
        return _raw_array(values, field.type)
    if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
        return _structs_array(values, field.type)
    return pa.array(values, field.type)


def _raw_array(values: Iterable[msgspec.Raw], kind: pa.DataType) -> pa.Array:
    """Decode each distinct plan once: many records share one."""
    places: dict[bytes, int] = {}
    indices = [places.setdefault(bytes(raw), len(places)) for raw in values]
    return pa.array([_decode_rows(raw) for raw in places], kind).take(pa.array(indices, pa.int64()))


def _structs_array(values: list[list[msgspec.Struct] | None], kind: pa.ListType) -> pa.Array:
    """Convert lists of structs column by column, which takes a third of the time that dictionaries take."""
    flat = [struct for structs in values for struct in structs or ()]
    fields = list(kind.value_type)
    rows = zip(*map(attrgetter(*(field.name for field in fields)), flat), strict=True) if flat else [()] * len(fields)
    columns = [pa.array(column, field.type) for field, column in zip(fields, rows, strict=True)]
    offsets = pa.array(accumulate((len(structs or ()) for structs in values), initial=0), pa.int32())
    mask = pa.array([structs is None for structs in values], pa.bool_())
    structs_array = pa.StructArray.from_arrays(columns, fields=fields)
    return pa.ListArray.from_arrays(offsets, structs_array, type=kind, mask=mask)
