"""Import a file of another router's usage: chunk by chunk, so that an import that was stopped continues."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.catalogue.configured import configured_catalogue
from data.lake import COUNTED_IMPORT, TRAINING_IMPORT, Lake
from data.record import lake_files
from data.record.encoding import encode_record, to_table
from data.record.generation_id import arrival_of
from data.record.lake_reader import open_dataset
from pipelines.imports.fields import RowRejected
from pipelines.imports.formats import FORMATS
from pipelines.imports.imported_ids import ImportedIds
from pipelines.imports.known_names import KnownNames
from pipelines.imports.ledger import ImportLedger
from pipelines.imports.source_rows import SourceRow
from pipelines.locks import exclusive

CHUNK_ROWS = 20_000


class ImportReport(NamedTuple):
    """Count the rows of a file by what became of them; ``repeated`` is true if the file was imported before.

    ``unknown`` counts the rows of each model or provider that the catalogue does not have. ``rejects`` names the file
    with line and reason of each rejected row.
    """

    imported: int
    duplicates: int
    rejected: int
    rejects: Path
    unknown: dict[str, int]
    repeated: bool


class Rejection(NamedTuple):
    """Name a row that was not imported."""

    line: int
    reason: str


def import_file(
    lake: Lake,
    path: Path,
    source: str,
    given: Mapping[str, str] | None = None,
    *,
    trains: bool = False,
    chunk_rows: int = CHUNK_ROWS,
    progress: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Import ``path`` in the format ``source``, one of ``FORMATS``; ``given`` maps foreign models to canonical ids.

    A row whose id is in the lake is left out, so a file that is imported twice, or one that overlaps another, adds
    nothing twice. ``trains`` lets the rows train selection. Memory grows with ``chunk_rows``, and by eight bytes for
    each imported row of the lake. Raises ``ImportInvalid`` for a file that is not of the format, and ``OSError`` for
    one that cannot be read.
    """
    lake.create()
    form, names = FORMATS[source], KnownNames(given, configured_catalogue(lake))
    with exclusive(lake.root / "imports.lock"):
        ledger = ImportLedger(lake, path, source, given or {}, trains)
        state = ledger.state
        repeated = state.finished
        ids = ImportedIds(lake)
        rows = islice(form.rows(path), state.read, None)
        while not state.finished and (chunk := list(islice(rows, chunk_rows))):
            payloads: dict[str, dict[str, bytes]] = {}
            rejected: list[Rejection] = []
            seen: set[str] = set()
            duplicates = 0
            for row in chunk:
                try:
                    record = form.to_record(_readable(row), names)
                except RowRejected as error:
                    rejected.append(Rejection(row.line, str(error)))
                    continue
                if record.generation_id in seen:
                    duplicates += 1
                    continue
                seen.add(record.generation_id)
                record.source, record.trains_selection = source, trains
                day = datetime.fromtimestamp(record.started_at / 1e6, UTC).strftime("%Y-%m-%d")
                payloads.setdefault(day, {})[record.generation_id] = encode_record(record)
            repeats = ids.known(seen)
            ids.add(seen)
            duplicates += len(repeats)
            payloads = {day: _without(rows, repeats) for day, rows in payloads.items()}
            # No file may be compacted between the search for known ids and the writing of new ones.
            with exclusive(lake.build_lock):
                imported = sum(_write(lake, ledger, day, rows) for day, rows in sorted(payloads.items()))
            state.imported += imported
            state.duplicates += duplicates + sum(map(len, payloads.values())) - imported
            _name_rejected(ledger, rejected)
            state.read += len(chunk)
            state.chunks += 1
            ledger.save()
            progress(f"{state.read} rows read, {state.imported} imported")
        state.finished = True
        ledger.save()
    return ImportReport(
        state.imported, state.duplicates, state.rejected, ledger.rejects, dict(names.unknown.most_common()), repeated
    )


def _readable(row: SourceRow) -> Mapping[str, object]:
    if row.fault is not None:
        raise RowRejected(row.fault)
    return row.values


def _write(lake: Lake, ledger: ImportLedger, day: str, payloads: Mapping[str, bytes]) -> int:
    """Write the rows of a day that the lake does not have yet; return how many."""
    known = _known_ids(lake, day, payloads)
    new = [payload for name, payload in payloads.items() if name not in known]
    if new:
        buffer = pa.BufferOutputStream()
        pq.write_table(to_table(new), buffer, compression="zstd")
        prefix = TRAINING_IMPORT if ledger.trains else COUNTED_IMPORT
        path = lake.requests / f"day={day}" / f"{prefix}{ledger.name}-{ledger.state.chunks:06d}.parquet"
        lake.storage.put(lake.key(path), memoryview(buffer.getvalue()))
    return len(new)


def _without(payloads: Mapping[str, bytes], ids: Collection[str]) -> dict[str, bytes]:
    return {name: payload for name, payload in payloads.items() if name not in ids}


def _known_ids(lake: Lake, day: str, payloads: Mapping[str, bytes]) -> set[str]:
    """Return which ids the lake has on ``day``, or on the day that an id tells: the router's ids tell theirs."""
    days = {day, *(f"{told:%Y-%m-%d}" for name in payloads if (told := arrival_of(name)) is not None)}
    files = [file.path for one in sorted(days) for file in lake_files.listing(lake, one).files]
    wanted = pa.array(payloads, pa.string())
    found: set[str] = set()
    if files:
        same = pc.is_in(pc.field("generation_id"), value_set=wanted)
        scanner = open_dataset(files).scanner(columns=["generation_id"], filter=same, batch_size=CHUNK_ROWS)
        for batch in scanner.to_batches():
            found.update(batch.column(0).to_pylist())
    return found


def _name_rejected(ledger: ImportLedger, rejected: list[Rejection]) -> None:
    if not rejected:
        return
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if not ledger.state.rejects_bytes:
        writer.writerow(Rejection._fields)
    writer.writerows(rejected)
    content = buffer.getvalue().encode(errors="replace")
    ledger.rejects.parent.mkdir(parents=True, exist_ok=True)
    with ledger.rejects.open("ab") as file:
        # An import that was stopped may have named rows of a chunk that is read again.
        file.truncate(ledger.state.rejects_bytes)
        file.write(content)
    ledger.state.rejects_bytes += len(content)
    ledger.state.rejected += len(rejected)
