"""Measure how long requests waited until they were in the lake and in the published marts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from data.lake import COUNTED_IMPORT, TRAINING_IMPORT, Lake
from data.record.lake_files import LakeFile, listing

IMPORTS = (COUNTED_IMPORT, TRAINING_IMPORT)


class Waits(NamedTuple):
    """Hold the number of requests that were sealed in a time, and the longest time in seconds that one of them waited.

    ``marts_s`` is null if no version has them.
    """

    requests: int = 0
    lake_s: float | None = None
    marts_s: float | None = None


def waits(lake: Lake, since: datetime, until: datetime, published: datetime | None) -> Waits:
    """Measure the requests that were sealed after ``since`` up to ``until``; the marts have them since ``published``.

    A request waits from its arrival to the moment at which the sealed file is in its place. One that is sealed while a
    refresh runs counts to the next, so that the wait for the marts is never too short. Imported requests arrived
    elsewhere and do not count.
    """
    found = Waits()
    for file, sealed in _sealed(lake, since, until):
        assert file.first is not None
        marts_s = (published - file.first).total_seconds() if published else None
        found = Waits(
            found.requests + file.rows,
            max(found.lake_s or 0.0, (sealed - file.first).total_seconds()),
            None if marts_s is None else max(found.marts_s or 0.0, marts_s),
        )
    return found


def _sealed(lake: Lake, since: datetime, until: datetime) -> Iterator[tuple[LakeFile, datetime]]:
    for folder in sorted(lake.requests.glob("day=*")):
        # A file that is put into a folder changes its time: all others are passed over.
        if datetime.fromtimestamp(folder.stat().st_mtime, UTC) <= since:
            continue
        listed = listing(lake, folder.name.removeprefix("day="))
        # The compaction of this refresh may have replaced some.
        for file in (*listed.files, *listed.replaced):
            is_sealed = not file.origin.made_at_us and not file.origin.generation
            if is_sealed and file.first is not None and not file.path.name.startswith(IMPORTS):
                sealed = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
                if since < sealed <= until:
                    yield file, sealed
