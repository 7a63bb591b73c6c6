"""Name the places under the data directory. No other module knows a path."""

from __future__ import annotations

import json
from pathlib import Path

from data.storage.interface import ObjectNotFoundError
from data.storage.local import LocalStorage

# Beginnings of the names of imported files; the rows of the first train nothing.
COUNTED_IMPORT, TRAINING_IMPORT = "import-counted-", "import-trains-"


class Lake:
    """Hold the paths of the data directory (default ``data/var``) and the storage of its objects.

    ``log/``                      segments that are written or wait to be sealed, ``<segment>.wal``; disk-full reserves
    ``lake/requests/day=D/``      Parquet of ``data.record.record.RECORD_SCHEMA``, one file per day and segment, or per
                                  day and chunk of an import, and compacted files, which name their sources; see
                                  ``data.record.origin``
    ``lake/index/``               footers of those files; see ``data.record.lake_index``
    ``lake/index.lock``           locked by the one process that writes them
    ``lake/unreadable/day=D/``    a note per damaged file of ``lake/requests``; see ``data.record.lake_files``
    ``marts/``                    ``marts-<version>.duckdb`` and the pointer ``current.json``
    ``decisions/``                one Parquet file per hour with the data that selection is trained and judged on
    ``policies/<version>/``       a selection policy: ONNX, JSON, its state and its report; see ``data.policies``
    ``portolan.sqlite``           API keys
    ``catalogue.msgpack``         the catalogue in force, where a configuration changes the packaged one; see
                                  ``data.catalogue.configured``
    ``health/``                   of each running worker a journal and a report, read by the other workers
    ``categories/``               the classifier that was trained here, and the operator's ``examples/``
    ``imports/``                  how far the import of each file has come, and the rows of it that were rejected
    ``demo/``                     a data directory of its own with the synthetic market, for dashboards alone
    ``sealer.lock``               locked by the one process that seals
    ``spill/``                    what queries keep on disk while they run
    ``build.lock``                locked by the one run of the pipelines that builds
    ``alerts.json``               which failure of each job was told to the webhook last
    ``refreshes/``                what each refresh of the pipelines did; see ``data.refreshes``
    ``runs/``                     one lock file per run of the pipelines, locked by its process

    ``storage`` reads and writes the objects that are put whole, under their path relative to ``root``. Segments,
    journals, the audit log and the databases stay files.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.storage = LocalStorage(self.root)
        self.log = self.root / "log"
        self.requests = self.root / "lake" / "requests"
        self.unreadable = self.root / "lake" / "unreadable"
        self.marts = self.root / "marts"
        self.decisions = self.root / "decisions"
        self.categories = self.root / "categories"
        self.policies = self.root / "policies"
        self.database = self.root / "portolan.sqlite"
        self.health = self.root / "health"
        self.sealer_lock = self.root / "sealer.lock"
        self.build_lock = self.root / "build.lock"
        self.runs = self.root / "runs"
        self.spill = self.root / "spill"
        self.alerts = self.root / "alerts.json"
        self.refreshes = self.root / "refreshes"

    def create(self) -> Lake:
        """Create the folders that are missing."""
        for folder in (self.log, self.requests, self.marts, self.decisions, self.policies, self.health):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    @property
    def demo(self) -> Lake:
        """Return the lake of the synthetic market; its folder need not exist."""
        return Lake(self.root / "demo")

    def key(self, path: Path) -> str:
        """Return the key of ``path`` in the storage. Raises ``ValueError`` for a path outside the data directory."""
        return path.relative_to(self.root).as_posix()

    def current_mart(self) -> Path | None:
        """Return the path of the published mart, or ``None``. A later version may replace it: ask before each use."""
        try:
            target = self.marts / json.loads(self.storage.get("marts/current.json"))["target"]
        except (ObjectNotFoundError, ValueError, KeyError, TypeError):
            return None
        return target if target.exists() else None

    def publish_mart(self, path: Path) -> None:
        """Point ``current.json`` at ``path``, a finished file inside ``marts``."""
        target = path.resolve().relative_to(self.marts.resolve())
        self.storage.put("marts/current.json", json.dumps({"target": str(target)}).encode())
