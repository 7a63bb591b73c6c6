"""Derive Arrow types and documentation from structs whose fields are annotated with ``Column``."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa

Int32 = Annotated[int, pa.int32()]
Timestamp = Annotated[int, pa.timestamp("us", tz="UTC")]

_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


class Column(NamedTuple):
    """Describe a column. ``since`` is the record version that added it; files of an earlier version lack it.

    ``nullable`` marks a column of raw MessagePack that may be nil; for others the annotation says it.
    """

    description: str
    unit: str = ""
    since: int = 1
    nullable: bool = False


class DeclaredColumn(NamedTuple):
    """Join the name, the Arrow type and the description of one declared column."""

    name: str
    arrow: pa.DataType
    nullable: bool
    column: Column


def declared_columns(struct: type[msgspec.Struct]) -> Iterator[DeclaredColumn]:
    """Yield the columns of ``struct`` in the order of declaration.

    Raises ``TypeError`` for a field without a ``Column`` or with a type that has no Arrow counterpart.
    """
    hints = get_type_hints(struct, include_extras=True)
    for name in struct.__struct_fields__:
        column = next((item for item in _annotations(hints[name]) if isinstance(item, Column)), None)
        if column is None:
            raise TypeError(f"{struct.__name__}.{name} has no Column: annotate it with its description")
        yield DeclaredColumn(name, arrow_type(hints[name]), column.nullable or _is_optional(hints[name]), column)


def struct_type(struct: type[msgspec.Struct]) -> pa.StructType:
    """Return the Arrow struct of ``struct``. All its fields are nullable, since older files may lack some."""
    return pa.struct([(declared.name, declared.arrow) for declared in declared_columns(struct)])


def arrow_schema(struct: type[msgspec.Struct]) -> pa.Schema:
    """Return the Arrow schema of ``struct``; a field is nullable where its annotation admits ``None``."""
    return pa.schema(
        [
            pa.field(declared.name, declared.arrow, declared.nullable, metadata={"doc": declared.column.description})
            for declared in declared_columns(struct)
        ]
    )


def arrow_type(hint: Any) -> pa.DataType:
    """Return the Arrow type of an annotation: the one named in ``Annotated``, else the one of the Python type."""
    named = next((item for item in _annotations(hint) if isinstance(item, pa.DataType)), None)
    if named is not None:
        return named
    if get_origin(hint) is Annotated:
        return arrow_type(get_args(hint)[0])
    if _is_union(hint):
        (only,) = (part for part in get_args(hint) if part is not NoneType)
        return arrow_type(only)
    if get_origin(hint) is list:
        return pa.list_(arrow_type(get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return struct_type(hint)
    if hint not in _PLAIN:
        raise TypeError(f"{hint} has no Arrow type: name one with Annotated[…, pa.…]")
    return _PLAIN[hint]


def _annotations(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _is_optional(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _is_optional(get_args(hint)[0])
    return _is_union(hint) and NoneType in get_args(hint)
