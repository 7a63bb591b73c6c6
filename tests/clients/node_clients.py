"""Install the pinned clients that run on Node, and run them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.running import ROOT

SOURCES = Path(__file__).parent / "node"
OLDEST_NODE = 20
INSTALL_TIMEOUT_S = 900
RUN_TIMEOUT_S = 300


def install() -> Path:
    """Return a folder below ``build/`` with the packages of the lock file, which it is named after.

    Skips the test if Node or npm is missing or too old; an installation that fails is an error.
    """
    npm, version = shutil.which("npm"), _node_version()
    if npm is None or version is None:
        pytest.skip("Node and npm are missing, so the clients that run on Node cannot be tried")
    if version < OLDEST_NODE:
        pytest.skip(f"Node {version} is too old for these clients: they need {OLDEST_NODE} or newer")
    lock = (SOURCES / "package.json").read_bytes() + (SOURCES / "package-lock.json").read_bytes()
    folder = ROOT / "build" / f"node-clients-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        _install_into(folder, npm)
    for script in SOURCES.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _install_into(folder: Path, npm: str) -> None:
    """Install to a folder beside ``folder`` and rename it, so that an interrupted installation leaves none."""
    unfinished = folder.with_name(f"{folder.name}-{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(SOURCES / name, unfinished)
    # No package runs code of its own: Claude Code has a launcher for installations without scripts.
    command = [npm, "ci", "--ignore-scripts", "--no-progress"]
    done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    try:
        unfinished.rename(folder)
    except OSError:
        # Another process was faster.
        shutil.rmtree(unfinished)
        assert folder.exists()


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
        self.home.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home)} | variables
        done = subprocess.run(
            ["node", str(self.folder / program), *arguments],
            cwd=cwd or self.home,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{program} said: {done.stderr[-4000:]} {done.stdout[-4000:]}"
        return json.loads(done.stdout)
