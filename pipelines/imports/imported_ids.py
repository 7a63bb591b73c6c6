"""Remember which ids were imported, so that an id counts once even if two exports give it different times."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from data.lake import COUNTED_IMPORT, TRAINING_IMPORT, Lake
from data.record import lake_files
from data.record.lake_reader import open_dataset

BATCH_ROWS = 20_000
# Arrays of new hashes that are searched one by one, before they are sorted into the others.
SEARCHED = 64


class ImportedIds:
    """Hold a hash of eight bytes of each imported id of the lake.

    Of a hundred million ids, one is taken for another with a chance of 0.03 %.
    """

    def __init__(self, lake: Lake) -> None:
        self._hashes = [np.sort(np.concatenate([np.array([], np.uint64), *_of_lake(lake)]))]

    def known(self, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that were imported."""
        names = pl.Series(list(ids), dtype=pl.String)
        hashes = names.hash().to_numpy()
        found = np.zeros(len(hashes), bool)
        for known in self._hashes:
            if len(known):
                found |= known[np.searchsorted(known, hashes).clip(max=len(known) - 1)] == hashes
        return set(names.filter(pl.Series(found)).to_list())

    def add(self, ids: Collection[str]) -> None:
        """Take in ids that are imported now."""
        self._hashes.append(np.sort(pl.Series(list(ids), dtype=pl.String).hash().to_numpy()))
        if len(self._hashes) > SEARCHED:
            self._hashes = [np.sort(np.concatenate(self._hashes))]


def _of_lake(lake: Lake) -> list[Any]:
    """Return the hashes of the imported ids in the lake; files without imported rows are not opened."""
    files = [
        file.path
        for file in lake_files.listing(lake).files
        if any(name.startswith((COUNTED_IMPORT, TRAINING_IMPORT)) for name in file.origin.sources)
    ]
    if not files:
        return []
    scanner = open_dataset(files).scanner(
        columns=["generation_id"], filter=pc.is_valid(pc.field("source")), batch_size=BATCH_ROWS
    )
    batches = (pa.table([batch.column(0)], ["id"]) for batch in scanner.to_batches() if len(batch))
    return [pl.Series(batch["id"].to_pylist(), dtype=pl.String).hash().to_numpy() for batch in batches]
