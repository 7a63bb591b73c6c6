"""Install the pinned clients that run on Node, and run them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import installed, run_program

SOURCES = Path(__file__).parent / "node"
OLDEST_NODE = 20


def install() -> Path:
    """Return a folder with the packages of the lock file. Skips the test if Node or npm is missing or too old."""
    npm, version = shutil.which("npm"), _node_version()
    if npm is None or version is None:
        pytest.skip("Node and npm are missing, so the clients that run on Node cannot be tried")
    if version < OLDEST_NODE:
        pytest.skip(f"Node {version} is too old for these clients: they need {OLDEST_NODE} or newer")
    pins = [SOURCES / name for name in ("package.json", "package-lock.json", ".npmrc")]
    # No package runs code of its own: Claude Code has a launcher for installations without scripts.
    folder = installed("node-clients", pins, lambda _folder: [[npm, "ci", "--ignore-scripts", "--no-progress"]])
    for script in SOURCES.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _node_version() -> int | None:
    node = shutil.which("node")
    if node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout
    return int(said.removeprefix("v").split(".")[0])


@dataclass(frozen=True)
class NodeClients:
    """Run programs of ``folder`` with ``home`` as their home, and with no other variables than they are given."""

    folder: Path
    home: Path

    def run(self, program: str, *arguments: str, cwd: Path | None = None, **variables: str) -> Any:
        """Return the JSON that the program writes. ``program`` is relative to the folder of the packages."""
        done = run_program(["node", self.folder / program, *arguments], self.home, variables, cwd)
        return json.loads(done.stdout)
