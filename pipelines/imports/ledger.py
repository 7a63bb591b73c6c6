"""Remember how far the import of each file has come, under ``imports/`` of the data directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from data.lake import Lake
from data.storage.interface import ObjectNotFoundError

BLOCK = 1 << 20


class ImportState(msgspec.Struct):
    """Count what the import of one file has done. ``read`` is the number of its rows that are dealt with.

    ``duplicates`` were in the lake before. ``rejects_bytes`` is how much of the file of rejected rows is valid.
    """

    source: str
    read: int = 0
    imported: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejects_bytes: int = 0
    chunks: int = 0
    finished: bool = False


class ImportLedger:
    """Keep the state of one file, named by its content, its format and what its import was asked to do."""

    def __init__(self, lake: Lake, path: Path, source: str, given: Mapping[str, str], trains: bool) -> None:
        self._lake = lake
        self.trains = trains
        self.name = _digest(path, [source, sorted(given.items()), trains])
        folder = lake.root / "imports"
        self._file = folder / f"{self.name}.json"
        self.rejects = folder / f"{self.name}.rejected.csv"
        self.state = self._read(source)

    def save(self) -> None:
        """Write the state durably."""
        self._lake.storage.put(self._lake.key(self._file), msgspec.json.encode(self.state))

    def _read(self, source: str) -> ImportState:
        try:
            return msgspec.json.decode(self._lake.storage.get(self._lake.key(self._file)), type=ImportState)
        except (ObjectNotFoundError, msgspec.DecodeError):
            return ImportState(source)


def _digest(path: Path, asked: Sequence[object]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(asked))
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()[:32]
