"""Keep what each refresh of the pipelines did: its result, its duration, and how long requests waited for it.

``refreshes/<day>.jsonl`` has the refreshes that began on a day (UTC), one a line, appended and never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta

import msgspec

from data.lake import Lake

KEPT = timedelta(days=31)


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a refresh that began ``at`` a moment (ISO 8601, UTC) and took ``seconds``.

    ``failed`` are steps and checks; ``version`` is that of the marts in force afterwards, and ``moved`` says whether
    this refresh has published it. ``listed`` says whether the lake was listed and its marts were found complete.
    ``requests`` are those that were sealed since the refresh before which did so; the waits are the longest time in
    seconds from the arrival of one of them until it was in the lake, and in the published marts. They are null if there
    is no refresh to count from, no new request, or no version that has it.
    """

    at: str
    seconds: float
    succeeded: bool
    failed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    version: str | None = None
    moved: bool = False
    listed: bool = False
    requests: int = 0
    lake_wait_s: float | None = None
    marts_wait_s: float | None = None

    @property
    def began(self) -> datetime:
        return datetime.fromisoformat(self.at)


_decode = msgspec.json.Decoder(Refresh).decode


def append_refresh(lake: Lake, refresh: Refresh) -> None:
    """Append a refresh, and delete the files of days that are older than ``KEPT``."""
    lake.refreshes.mkdir(parents=True, exist_ok=True)
    day = refresh.began.date()
    with (lake.refreshes / f"{day}.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(refresh) + b"\n")
    for path in lake.refreshes.glob("*.jsonl"):
        if path.stem < str(day - KEPT):
            path.unlink(missing_ok=True)


def read_refreshes(lake: Lake, first: date, last: date) -> list[Refresh]:
    """Return the refreshes of the days ``first`` to ``last``, oldest first. A torn line is skipped."""
    days = sorted(path for path in lake.refreshes.glob("*.jsonl") if str(first) <= path.stem <= str(last))
    return sorted((one for path in days for one in _lines(path.read_bytes())), key=lambda one: one.at)


def last_refresh(lake: Lake, *, listed: bool = False) -> Refresh | None:
    """Return the last refresh, or the last one that ``listed`` the lake; ``None`` if none is known."""
    for path in sorted(lake.refreshes.glob("*.jsonl"), reverse=True):
        found = [one for one in _lines(path.read_bytes()) if one.listed or not listed]
        if found:
            return max(found, key=lambda one: one.at)
    return None


def _lines(content: bytes) -> Iterator[Refresh]:
    for line in content.splitlines():
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield _decode(line)
