"""Name the sealed files whose rows a file of the lake holds, so that readers never see a row twice.

A sealed file holds its own rows alone. A compacted file names its sources in its Parquet metadata. Of the files of a
day that can be read, the one with more sources replaces those whose sources it has; a file that is written again after
an erasure has the same sources and a later ``generation``. So a compacted file may be put beside its sources, and they
may be deleted later, without a moment at which a row is missing or is seen twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple, Protocol, TypeVar

import msgspec

logger = logging.getLogger(__name__)
METADATA_KEY = b"portolan.origin"
HOUR_FORMAT = "%Y-%m-%dT%H"
_MODULUS = 2**64


class HourInputs(NamedTuple):
    """Identify the sealed files that hold rows of one hour: their number, and the sum of their hashes modulo 2^64.

    It adds up, so that compaction leaves it as it is.
    """

    files: int
    digest: int

    def plus(self, other: HourInputs) -> HourInputs:
        return HourInputs(self.files + other.files, (self.digest + other.digest) % _MODULUS)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """State where the rows of a file come from.

    ``sources`` are the names of sealed files of the same day. ``hours`` has the inputs of each hour (UTC,
    ``2026-11-17T05``) that the rows may belong to. ``generation`` counts erasures. ``made_at_us`` is when the file was
    compacted, Unix microseconds, 0 for a sealed file.
    """

    sources: tuple[str, ...]
    hours: dict[str, HourInputs]
    generation: int = 0
    made_at_us: int = 0


class HasOrigin(Protocol):
    """Describe what ``resolve`` needs of a file."""

    @property
    def origin(self) -> Origin: ...


F = TypeVar("F", bound=HasOrigin)
_decode = msgspec.json.Decoder(Origin).decode


def sealed_origin(name: str, rows: int, first: datetime | None, last: datetime | None) -> Origin:
    """Return the origin of a sealed file, by its name and the first and last arrival (UTC) in it."""
    digest = int.from_bytes(blake2b(f"{name}:{rows}".encode(errors="surrogateescape"), digest_size=8).digest())
    return Origin(sources=(name,), hours={hour: HourInputs(1, digest) for hour in hours_between(first, last)})


def joined_origin(origins: Iterable[Origin], made_at_us: int) -> Origin:
    """Return the origin of the file that holds the rows of several."""
    parts = list(origins)
    return Origin(
        sources=tuple(sorted({name for one in parts for name in one.sources})),
        hours=add_hours(one.hours for one in parts),
        generation=max(one.generation for one in parts),
        made_at_us=made_at_us,
    )


def erased_origin(origin: Origin, hours: Collection[str]) -> Origin:
    """Return the origin of a file without the rows that were erased from ``hours``."""
    generation = origin.generation + 1
    mark = f"erased:{generation}:{':'.join(origin.sources)}".encode(errors="surrogateescape")
    erased = HourInputs(0, int.from_bytes(blake2b(mark, digest_size=8).digest()))
    changed = {hour: found.plus(erased) if hour in hours else found for hour, found in origin.hours.items()}
    return Origin(sources=origin.sources, hours=changed, generation=generation, made_at_us=origin.made_at_us)


def add_hours(parts: Iterable[Mapping[str, HourInputs]]) -> dict[str, HourInputs]:
    """Return the inputs of each hour of several files, in order of the hours."""
    found: dict[str, HourInputs] = {}
    for hours in parts:
        for hour, inputs in hours.items():
            found[hour] = found[hour].plus(inputs) if hour in found else inputs
    return dict(sorted(found.items()))


def encode_origin(origin: Origin) -> dict[bytes, bytes]:
    """Return the Parquet metadata that holds ``origin``."""
    return {METADATA_KEY: msgspec.json.encode(origin)}


def decode_origin(metadata: Mapping[bytes, bytes] | None) -> Origin | None:
    """Return the origin in Parquet metadata, ``None`` for a sealed file.

    Raises ``msgspec.DecodeError``, a ``ValueError``, for one that is damaged.
    """
    content = (metadata or {}).get(METADATA_KEY)
    return None if content is None else _decode(content)


def hours_between(first: datetime | None, last: datetime | None) -> Iterator[str]:
    """Yield the hours from ``first`` to ``last`` (UTC); none without them."""
    if first is None or last is None:
        return
    hour = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour <= last:
        yield hour.strftime(HOUR_FORMAT)
        hour += timedelta(hours=1)


def moment_of(hour: str) -> datetime:
    """Return when an hour, written as ``HOUR_FORMAT``, begins. Raises ``ValueError`` for other text."""
    return datetime.strptime(hour, HOUR_FORMAT).replace(tzinfo=UTC)


def resolve(files: Iterable[F]) -> tuple[list[F], list[F]]:
    """Return the files of one day whose rows count, in the order given, and those that they replace."""
    ordered = list(files)
    if all(not one.origin.made_at_us for one in ordered):
        return ordered, []
    taken: set[str] = set()
    replaced: set[int] = set()
    by_size = sorted(
        range(len(ordered)), key=lambda place: (-ordered[place].origin.generation, -len(ordered[place].origin.sources))
    )
    for place in by_size:
        sources = ordered[place].origin.sources
        if taken.isdisjoint(sources):
            taken.update(sources)
            continue
        replaced.add(place)
        if not taken.issuperset(sources):
            # Only two compactions at the same time could make such files, and a lock keeps them apart.
            logger.error("a compacted file shares a part of its sources with another: %s", ordered[place])
    return (
        [one for place, one in enumerate(ordered) if place not in replaced],
        [one for place, one in enumerate(ordered) if place in replaced],
    )
