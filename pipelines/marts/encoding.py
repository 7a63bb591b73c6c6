"""Encode the rows of a mart as a Parquet file.

Half of the bytes are figures and ids that no level of zstd makes smaller, so that the default one is the best. DuckDB
does not read integers whose bytes are split (``BYTE_STREAM_SPLIT``).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Of figures that reach this most occur once.
LARGE = 4096
# A column whose dictionary would be larger is written without one from there on; those of users' ids are large.
DICTIONARY_BYTES = 8 << 20
ROW_GROUP = 1 << 20
STEPS_LEVEL = 5


def encoded(table: pa.Table, row_group: int = ROW_GROUP) -> pa.Buffer:
    """Return the content of the file."""
    # Dimensions that are integers, such as the buckets of a histogram, grow from row to row.
    steps = [field.name for field in table.schema if pa.types.is_int32(field.type)]
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table,
        buffer,
        row_group_size=row_group,
        compression="zstd",
        compression_level=dict.fromkeys(steps, STEPS_LEVEL),
        use_dictionary=[name for name in table.schema.names if name not in steps and _repeats(table[name])],
        column_encoding=dict.fromkeys(steps, "DELTA_BINARY_PACKED"),
        dictionary_pagesize_limit=DICTIONARY_BYTES,
    )
    return buffer.getvalue()


def _repeats(column: pa.ChunkedArray) -> bool:
    """Return whether a dictionary makes the column smaller."""
    if pa.types.is_integer(column.type):
        return bool((pc.max(column).as_py() or 0) < LARGE)
    if pa.types.is_string(column.type):
        return bool(2 * pc.count_distinct(column).as_py() <= len(column))
    return True
