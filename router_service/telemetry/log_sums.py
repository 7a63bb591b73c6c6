"""Sum figures over the request log, which covers all workers and earlier restarts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from data.lake import Lake
from data.record import lake_files
from router_service.telemetry.frames import read_frames

Key = TypeVar("Key")


class LogSums(Generic[Key]):
    """Add up whole numbers by key. Sealed files never change, so each is read once; unsealed segments every time.

    ``of_payload`` returns the figures of one record, and raises ``msgspec.DecodeError`` for a payload that is none;
    ``of_file`` returns those of a sealed file.
    """

    def __init__(
        self,
        lake: Lake,
        of_payload: Callable[[bytes], Counter[Key]],
        of_file: Callable[[Lake, Path], Counter[Key]],
    ) -> None:
        self._lake = lake
        self._of_payload = of_payload
        self._of_file = of_file
        self._sealed: dict[Path, Counter[Key]] = {}
        self._lock = threading.Lock()

    def read(self, days: Iterable[str] = ("*",)) -> Counter[Key]:
        """Return the sums of the sealed files of ``days`` (UTC, ``2026-11-17``) and of all unsealed records.

        Reads files, so it must not run in the event loop.
        """
        with self._lock:
            # Segments are read before files: one that is sealed meanwhile is found in both, and only its file counts.
            unsealed = {path.stem: self._of_segment(path) for path in self._segments()}
            sealed: dict[Path, Counter[Key]] = {}
            stems: set[str] = set()
            for day in days:
                found = lake_files.listing(self._lake, day)
                held = {name for file in found.files for name in file.origin.sources}
                stems |= {Path(name).stem for name in held}
                # What was read from a file before it was damaged still counts, unless its rows are elsewhere.
                for one in found.unreadable:
                    if one.path.name not in held and (counted := self._sealed.get(one.path)):
                        sealed[one.path] = counted
                        stems.add(one.path.stem)
                for file in found.files:
                    path = file.path
                    sealed[path] = self._sealed[path] if path in self._sealed else self._of_file(self._lake, path)
            self._sealed = sealed
            sums: Counter[Key] = Counter()
            for counted in sealed.values():
                sums.update(counted)
            for stem, counted in unsealed.items():
                if stem not in stems:
                    sums.update(counted)
            return sums

    def _segments(self) -> list[Path]:
        return [*self._lake.log.glob("*.open"), *self._lake.log.glob("*.wal")]

    def _of_segment(self, path: Path) -> Counter[Key]:
        sums: Counter[Key] = Counter()
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return sums
        for payload in read_frames(content).payloads:
            try:
                sums.update(self._of_payload(payload))
            except msgspec.DecodeError:
                continue
        return sums
