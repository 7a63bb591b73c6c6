"""Write ``docs/record.md`` from the declaration: ``python -m data.record.documentation > docs/record.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec
import pyarrow as pa

from data.record.attempt import Attempt
from data.record.charges import Charge
from data.record.columns import DeclaredColumn, declared_columns
from data.record.plan import ArmRow, CandidateRow
from data.record.record import RECORD_VERSION, Record

HEAD = f"""# The request record

The router writes one row per request, once. This page is made from `data/record/record.py` (version {RECORD_VERSION})
by `python -m data.record.documentation`. A duration that did not happen is null, never 0. Prompts and completions are
not recorded. Column "since" names the record version that added the column: in files of an earlier version it reads as
null. Read the lake through `data/record/lake_reader.py`, which opens files of every version.

"""
NESTED: dict[str, type[msgspec.Struct]] = {
    "candidates": CandidateRow,
    "arms": ArmRow,
    "attempts": Attempt,
    "charges": Charge,
}


def record_page() -> str:
    """Return the page as Markdown."""
    nested = (
        f"\n## Each of `{column}`\n\n{_table(declared_columns(struct), with_null=False)}"
        for column, struct in NESTED.items()
    )
    return HEAD + _table(declared_columns(Record), with_null=True) + "".join(nested)


def _table(columns: Iterable[DeclaredColumn], *, with_null: bool) -> str:
    names = ["column", "type", "unit", *(["null"] if with_null else []), "since", "meaning"]
    rows = [names, ["---"] * len(names)]
    for name, kind, nullable, column in columns:
        null = ["yes" if nullable else ""] if with_null else []
        meaning = column.description.replace(" | ", " or ")
        rows.append([f"`{name}`", _type_name(kind), column.unit, *null, str(column.since), meaning])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type_name(kind.value_type)}"
    if pa.types.is_timestamp(kind):
        return "timestamp, UTC"
    return "struct" if pa.types.is_struct(kind) else str(kind)


if __name__ == "__main__":
    sys.stdout.write(record_page())
