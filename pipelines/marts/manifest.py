"""Keep what a published version consists of: the input of each hour, and the partition files of each mart."""

from __future__ import annotations

from pathlib import Path

import msgspec

from data.lake import Lake
from data.record.origin import HourInputs
from data.storage.interface import ObjectNotFoundError

VERSION = 1


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one immutable file by its key in the storage.

    ``span`` is an hour, a day or a month: ``2026-11-17T05``, ``2026-11-17``, ``2026-11``.
    """

    key: str
    span: str
    rows: int
    bytes: int


class MartPartitions(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the files of one mart, in order of their spans, and what of its declaration made them.

    ``lost`` are hours that neither the lake has nor ``files``. ``former`` are files with rows of such hours that cannot
    be read as rows of this declaration: no view has them, and they are not removed.
    """

    fingerprint: str
    row_version: int = 1
    files: tuple[Partition, ...] = ()
    lost: tuple[str, ...] = ()
    former: tuple[Partition, ...] = ()


class FutureRequests(msgspec.Struct, frozen=True, kw_only=True):
    """Count the requests of hours to come, and name some of them and the last of these hours."""

    requests: int = 0
    last_hour: str = ""
    samples: tuple[tuple[str, str], ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold all hours that a version counts with their inputs, the files of each mart, and the lake files left out.

    ``left_out`` has pairs of path and reason. ``future`` counts the requests of hours to come, which are in no mart.
    ``made_again_at`` is when days were last made again although their input was the same. ``former_hours`` are those
    whose rows a former declaration made, because the lake no longer has their requests. ``rollups`` identifies the
    declarations of the roll-ups.
    """

    version: int = VERSION
    hours: dict[str, HourInputs] = {}
    marts: dict[str, MartPartitions] = {}
    left_out: tuple[tuple[str, str], ...] = ()
    future: FutureRequests = FutureRequests()
    made_again_at: str = ""
    former_hours: tuple[str, ...] = ()
    rollups: str = ""


_decode = msgspec.json.Decoder(Manifest).decode


def read_manifest(lake: Lake) -> Manifest:
    """Return the manifest of the published version; an empty one if there is none, so that all is built again."""
    current = lake.current_mart()
    return Manifest() if current is None else read_manifest_of(lake, current)


def read_manifest_of(lake: Lake, mart: Path) -> Manifest:
    """Return the manifest of a version that is kept; an empty one if it has none or a damaged one."""
    try:
        found = _decode(lake.storage.get(lake.key(manifest_path(mart))))
    except (ObjectNotFoundError, msgspec.DecodeError):
        return Manifest()
    return found if found.version == VERSION else Manifest()


def candidate_manifest(lake: Lake) -> Path:
    """Return where the manifest of the version lies that is built and not yet published, by whichever run."""
    return lake.marts / "candidate.manifest"


def manifest_path(mart: Path) -> Path:
    """Return where the manifest of a version lies."""
    return mart.with_suffix(".json")


def read_candidate(lake: Lake) -> Manifest | None:
    """Return the manifest of the version that is built and not yet published, ``None`` if there is none."""
    try:
        return _decode(lake.storage.get(lake.key(candidate_manifest(lake))))
    except (ObjectNotFoundError, msgspec.DecodeError):
        return None


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest)
