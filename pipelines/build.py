"""Build and publish the marts without Dagster: only what changed in the lake is read, and only that is written."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from data.lake import Lake
from data.record import lake_files
from data.record.lake_files import LakeFile, Listing, Unreadable
from data.record.lake_reader import requests_sql
from data.record.origin import add_hours
from pipelines.locks import exclusive
from pipelines.marts.catalogue import MARTS
from pipelines.marts.manifest import Manifest, candidate_manifest, encode_manifest, read_candidate, read_manifest
from pipelines.marts.partitions import PartitionBuild, PartitionBuilder, Progress, ignore_progress
from pipelines.marts.publication import ABANDONED_S, publish, remove_old_versions, write_version
from pipelines.marts.quarantine import first_future_hour, future_requests
from pipelines.marts.rollups import ROLLUPS
from pipelines.marts.spans import is_usable, plan
from pipelines.retention import retention_from_environment


class MartReport(NamedTuple):
    """Row counts by table; ``requests`` is the number of requests in the lake when the build began.

    ``opened`` are the files of the lake whose rows were read, ``written`` is the number of partition files written.
    """

    path: Path
    requests: int
    rows: dict[str, int]
    opened: list[Path]
    written: int


class Candidate:
    """Unpublished version of the marts. ``name`` distinguishes runs that work at the same time."""

    def __init__(self, lake: Lake, name: str, now: datetime | None = None) -> None:
        self._lake = lake
        self._now = now
        self.path = lake.marts / f"candidate-{name}.tmp"
        # Of no run in particular: one may build a version, and another publish it.
        self._manifest = candidate_manifest(lake)

    def begin(self) -> Listing:
        """Remove what dead runs left, and list the lake."""
        self._lake.create()
        self.discard()
        self._discard_abandoned()
        # A partition of other requests has another key, so that a build writes few keys of the one that was killed.
        self._lake.storage.discard_all_partial("marts")
        return lake_files.listing(self._lake, remember=True)

    def build(self, progress: Progress = ignore_progress, days: Collection[str] | None = None) -> PartitionBuild:
        """Make the partitions whose input changed, or those of ``days`` and no others. Raises ``CheckFailed``.

        The lake is listed once, so that every mart counts the same requests although new ones are sealed meanwhile.
        """
        refused: list[Unreadable] = []
        while True:
            listed = lake_files.listing(self._lake)
            files = [file for file in listed.files if file.path not in {one.path for one in refused}]
            try:
                built, manifest = self._build(files, [*listed.unreadable, *refused], progress, days)
                break
            except duckdb.Error:
                paths = [file.path for file in files]
                if lake_files.find_damaged(self._lake, paths):
                    continue
                found = _unreadable_to_duckdb(paths)
                if not found:
                    raise
                refused += found
        self._lake.storage.put("marts/" + self._manifest.name, encode_manifest(manifest))
        return built

    def _build(
        self,
        files: Sequence[LakeFile],
        left_out: Sequence[Unreadable],
        progress: Progress,
        days: Collection[str] | None,
    ) -> tuple[PartitionBuild, Manifest]:
        before = self.manifest()
        now = self._now or datetime.now(UTC)
        # Whatever the moment that partitions are planned for, a request that has arrived is not from the future.
        first_future = first_future_hour(max(now, datetime.now(UTC)))
        inputs = add_hours(file.origin.hours for file in files)
        inputs = {hour: found for hour, found in inputs.items() if hour < first_future}
        if (first := retention_from_environment().first_kept(now)) is not None:
            # Their requests may have been deleted in part.
            inputs = {hour: found for hour, found in inputs.items() if hour >= first or hour not in before.hours}
        usable = is_usable(before, MARTS) or not before.hours
        # Without usable partitions of the other days, a version of ``days`` alone would drop them.
        spans = plan(inputs, before, MARTS, now, days if usable else None)
        built = PartitionBuilder(self._lake, before, files).build(spans, progress)
        gone = {hour for span in spans for hour in span.gone}
        hours = {hour: inputs for span in spans for hour, inputs in span.inputs.items()}
        found = tuple(sorted((one.name, one.reason) for one in left_out))
        future = future_requests(self._lake, files, first_future)
        manifest = Manifest(
            hours=dict(sorted(hours.items())),
            marts=built.marts,
            left_out=found,
            future=future,
            made_again_at=before.made_again_at if days is None else now.isoformat(),
            former_hours=tuple(sorted(gone if not usable else gone.intersection(before.former_hours))),
            rollups=ROLLUPS,
        )
        return built, manifest

    def manifest(self) -> Manifest:
        """Return what the version consists of that was built last and may not be published yet."""
        return read_candidate(self._lake) or read_manifest(self._lake)

    def is_new(self) -> bool:
        """Return false if the published version is the same."""
        return self._lake.current_mart() is None or self.manifest() != read_manifest(self._lake)

    def publish(self) -> Path:
        """Publish this version unless it is the published one. Raises ``CheckFailed`` before the pointer is moved."""
        current = self._lake.current_mart()
        if current is not None and not self.is_new():
            self.discard()
            return current
        manifest = self.manifest()
        write_version(self._lake, manifest, self.path)
        target = publish(self._lake, manifest, self.path)
        self.discard()
        remove_old_versions(self._lake)
        return target

    def discard(self) -> None:
        """Remove the candidate if it is still there."""
        self.path.unlink(missing_ok=True)
        self._manifest.unlink(missing_ok=True)

    def _discard_abandoned(self) -> None:
        """Delete candidates of runs that died or failed a check; no build takes ``ABANDONED_S``."""
        for path in self._lake.marts.glob("candidate-*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - ABANDONED_S:
                    path.unlink()


def build_mart(lake: Lake, now: datetime | None = None) -> MartReport:
    """Build, check and publish the marts as of ``now`` (default: the clock). Raises ``CheckFailed``."""
    candidate = Candidate(lake, str(os.getpid()), now)
    with exclusive(lake.build_lock):
        try:
            requests = sum(file.rows for file in candidate.begin().files)
            built = candidate.build()
            path = candidate.publish()
        finally:
            candidate.discard()
    rows = {name: sum(one.rows for one in made.files) for name, made in built.marts.items()}
    return MartReport(path, requests, rows, built.opened, sum(work.written for work in built.work.values()))


def _unreadable_to_duckdb(files: Sequence[Path]) -> list[Unreadable]:
    """Return the files that Arrow can read and DuckDB cannot; none if DuckDB can read no file at all."""
    found = []
    for path in files:
        # An error of DuckDB may end a database for good: each file has its own.
        with duckdb.connect() as connection:
            try:
                connection.execute(f"SELECT max(hash(COLUMNS(*))) FROM ({requests_sql([path])})").fetchall()
            except duckdb.Error as error:
                found.append(Unreadable(path, " ".join(str(error).split())))
    if len(found) == len(files):
        return []
    for one in found:
        lake_files.log_unreadable(one)
    return found
