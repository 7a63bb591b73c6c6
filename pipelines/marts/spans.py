"""Plan partitions: which hours share a file, and which of them must be read again from the lake."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from data.record.origin import HourInputs, moment_of
from pipelines.marts.declaration import Mart
from pipelines.marts.manifest import Manifest

# Hours become a day, and days a month, so long after its end. What comes later opens the larger file again.
SETTLED = timedelta(hours=2)


class Span(NamedTuple):
    """Hold the hours of one partition: ``inputs`` are those it must have, ``fresh`` those to be read from the lake.

    ``gone`` are hours that the lake no longer has. ``again`` asks for its file to be written even if it is there.
    """

    name: str
    inputs: dict[str, HourInputs]
    fresh: frozenset[str]
    gone: frozenset[str]
    again: bool = False

    def key(self, mart: Mart) -> str:
        """Return the key of the file of ``mart``, which names all that its rows depend on."""
        content = repr((mart.fingerprint, sorted(self.inputs.items())))
        digest = blake2b(content.encode(), digest_size=8).hexdigest()
        return f"marts/{mart.name}/{self.name}-{digest}.parquet"


def span_of(hour: str, now: datetime) -> str:
    """Return the name of the partition that ``hour`` belongs to at ``now``: a month, a day or the hour itself."""
    day = moment_of(hour).replace(hour=0)
    next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    if now >= next_month + SETTLED:
        return hour[:7]
    return hour[:10] if now >= day + timedelta(days=1) + SETTLED else hour


def is_usable(before: Manifest, marts: Sequence[Mart]) -> bool:
    """Return whether the partitions of ``before`` were made by the declarations in force."""
    return all(
        (made := before.marts.get(mart.name)) is not None and made.fingerprint == mart.fingerprint for mart in marts
    )


def plan(
    inputs: Mapping[str, HourInputs],
    before: Manifest,
    marts: Sequence[Mart],
    now: datetime,
    days: Collection[str] | None = None,
) -> list[Span]:
    """Return the partitions that must exist, in order of time.

    ``inputs`` are those of the lake. An hour that the lake no longer has keeps the rows that were made from it. If
    ``days`` are given, their hours alone are read, although their input has not changed.
    """
    read = {hour: found for hour, found in inputs.items() if days is None or hour[:10] in days}
    usable = is_usable(before, marts)
    # An hour that has no rows, or those of a former declaration, is made again if the lake has it again.
    unsound = set(before.former_hours).union(*(made.lost for made in before.marts.values()))
    again = {hour for hour in read if days is not None or hour in unsound}
    fresh = {hour for hour, found in read.items() if not usable or hour in again or before.hours.get(hour) != found}
    spans: dict[str, dict[str, HourInputs]] = {}
    for hour, found in sorted({**before.hours, **read}.items()):
        spans.setdefault(span_of(hour, now), {})[hour] = found
    return [
        Span(
            name,
            hours,
            frozenset(fresh & hours.keys()),
            frozenset(hours.keys() - inputs.keys()),
            not again.isdisjoint(hours),
        )
        for name, hours in spans.items()
    ]
