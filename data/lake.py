"""Where things lie under the data directory, and the ``current`` pointers. No other module knows a path."""

from __future__ import annotations

import json
import os
from pathlib import Path


class Lake:
    """The data directory (default ``data/var``).

    ``log/``                      open and sealed-to-be segments, ``<segment>.wal``
    ``lake/requests/day=D/``      Parquet of ``data.schema.RECORD_SCHEMA``, one file per segment and day
    ``marts/``                    ``marts-<version>.duckdb`` and the pointer ``current.json``
    ``policies/<version>/``       ONNX and JSON of a selection policy, and the pointer ``current.json``
    ``portolan.sqlite``           keys
    ``health/``                   a journal per running worker: what its endpoints did, for the other workers
    ``sealer.lock``               held by the one process that seals
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.log = self.root / "log"
        self.requests = self.root / "lake" / "requests"
        self.marts = self.root / "marts"
        self.policies = self.root / "policies"
        self.database = self.root / "portolan.sqlite"
        self.health = self.root / "health"
        self.sealer_lock = self.root / "sealer.lock"

    def create(self) -> Lake:
        """Make the folders that are missing."""
        for folder in (self.log, self.requests, self.marts, self.policies, self.health):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    def current_mart(self) -> Path | None:
        """Path of the published mart, or ``None``. Resolve it again before every connect."""
        return _read_pointer(self.marts)

    def publish_mart(self, path: Path) -> None:
        """Point ``current`` at ``path``, a finished file inside ``marts``."""
        _write_pointer(self.marts, path)

    def current_policy(self) -> Path | None:
        """Folder of the published selection policy, or ``None``."""
        return _read_pointer(self.policies)

    def publish_policy(self, path: Path) -> None:
        """Point ``current`` at ``path``, a finished folder inside ``policies``."""
        _write_pointer(self.policies, path)


def fsync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_pointer(folder: Path) -> Path | None:
    try:
        target = folder / json.loads((folder / "current.json").read_bytes())["target"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return target if target.exists() else None


def _write_pointer(folder: Path, target: Path) -> None:
    relative = target.resolve().relative_to(folder.resolve())
    temporary = folder / f"current.{os.getpid()}.tmp"
    with temporary.open("w") as file:
        json.dump({"target": str(relative)}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / "current.json")
    fsync_folder(folder)
