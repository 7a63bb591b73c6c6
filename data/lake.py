"""Where things lie under the data directory, and the ``current`` pointers. No other module knows a path."""

from __future__ import annotations

import json
import os
from pathlib import Path


class Lake:
    """The data directory (default ``data/var``).

    ``log/``                      open and sealed-to-be segments, ``<segment>.wal``; reserves for a full disk
    ``lake/requests/day=D/``      Parquet of ``data.schema.RECORD_SCHEMA``, one file per segment and day
    ``marts/``                    ``marts-<version>.duckdb`` and the pointer ``current.json``
    ``decisions/``                one Parquet file per hour of what selection learns and is judged from
    ``policies/<version>/``       a selection policy: ONNX, JSON, its state and its report; see ``data.policies``
    ``portolan.sqlite``           keys
    ``health/``                   a journal per running worker: what it tells the other workers
    ``sealer.lock``               held by the one process that seals
    ``build.lock``                held by the one run of the pipelines that builds
    ``runs/``                     a lock file per run of the pipelines, held by its process
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.log = self.root / "log"
        self.requests = self.root / "lake" / "requests"
        self.marts = self.root / "marts"
        self.decisions = self.root / "decisions"
        self.policies = self.root / "policies"
        self.database = self.root / "portolan.sqlite"
        self.health = self.root / "health"
        self.sealer_lock = self.root / "sealer.lock"
        self.build_lock = self.root / "build.lock"
        self.runs = self.root / "runs"

    def create(self) -> Lake:
        """Make the folders that are missing."""
        for folder in (self.log, self.requests, self.marts, self.decisions, self.policies, self.health):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    def current_mart(self) -> Path | None:
        """Path of the published mart, or ``None``. Resolve it again before every connect."""
        return _read_pointer(self.marts)

    def publish_mart(self, path: Path) -> None:
        """Point ``current`` at ``path``, a finished file inside ``marts``."""
        _write_pointer(self.marts, path)


def fsync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` durably: a reader sees what was there before or all of ``content``."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    fsync_folder(path.parent)


def _read_pointer(folder: Path) -> Path | None:
    try:
        target = folder / json.loads((folder / "current.json").read_bytes())["target"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return target if target.exists() else None


def _write_pointer(folder: Path, target: Path) -> None:
    relative = target.resolve().relative_to(folder.resolve())
    write_atomically(folder / "current.json", json.dumps({"target": str(relative)}).encode())
