"""Write the rows of an answer as CSV or Parquet, where the client asks for them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

FileFormat = Literal["json", "csv", "parquet"]
MEDIA_TYPES: dict[FileFormat, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def asked_format(format_: FileFormat | None, accept: str) -> FileFormat:
    """Return the format that a query parameter names, else the one that the header ``Accept`` names, else JSON."""
    if format_ is not None:
        return format_
    if "text/csv" in accept:
        return "csv"
    return "parquet" if "parquet" in accept else "json"


def encode_rows(rows: Sequence[Mapping[str, Any]], format_: Literal["csv", "parquet"]) -> bytes:
    """Return ``rows`` as a file. Lists within a row are left out: a table has no place for them."""
    flat = [{name: value for name, value in row.items() if not isinstance(value, list)} for row in rows]
    table = pl.DataFrame(flat, infer_schema_length=None)
    written = io.BytesIO()
    if format_ == "csv":
        table.write_csv(written)
    else:
        table.write_parquet(written)
    return written.getvalue()
