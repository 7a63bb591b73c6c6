"""Write the synthetic market to a lake of its own."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake import Lake
from lab.market.generate import generate
from lab.market.parameters import read_parameters


def fill_demo_lake(lake: Lake, end: datetime, months: int, requests: int) -> int:
    """Write a sealed file for each day; return the number of requests. ``lake`` should be empty.

    Columns that are null everywhere are left out, as in files of an older record version.
    """
    table = generate(read_parameters(), end, months, requests)
    table = table.select([name for name in table.column_names if table[name].null_count < len(table)])
    days = table["started_at"].to_numpy().astype("datetime64[D]")
    edges = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(table)]
    lake.create()
    for begin, stop in pairwise(edges):
        if begin < stop:
            _write(lake, str(days[begin]), table.slice(begin, stop - begin))
    return len(table)


def _write(lake: Lake, day: str, table: pa.Table) -> None:
    folder = lake.requests / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"demo-{day}.parquet", compression="zstd", write_statistics=["started_at"])
