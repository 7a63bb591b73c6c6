"""Install pinned Python clients to environments of their own, apart from the project's, and run them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import installed, run_program

SOURCES = Path(__file__).parent / "python"
# The first versions of Python that a client does not run on.
TOO_NEW = {"aider": (3, 13)}


@dataclass(frozen=True)
class PythonClient:
    """Run programs with the environment in ``folder`` and with ``home`` as their home."""

    folder: Path
    home: Path

    def start(
        self, *arguments: str | Path, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Return what Python wrote, run with ``arguments``."""
        return run_program([self.folder / "bin/python", *arguments], self.home, variables, cwd)

    def ask(self, script: str, *arguments: str, **variables: str) -> Any:
        """Return the JSON that a script beside the pins writes."""
        # A copy outside of the project cannot import it by accident.
        copy = self.folder / script
        shutil.copy(SOURCES / script, copy)
        return json.loads(self.start(copy, *arguments, **variables).stdout)


def open_client(name: str, home: Path) -> PythonClient:
    """Return the client with the packages of ``name.txt``. Skips the test where they cannot be installed."""
    limit = TOO_NEW.get(name)
    if limit is not None and sys.version_info >= limit:
        pytest.skip(f"{name} does not run on Python {limit[0]}.{limit[1]} or newer")
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is missing, which makes the environments of these clients; `make` installs it")
    pins = SOURCES / f"{name}.txt"

    def commands(folder: Path) -> list[list[str]]:
        python = str(folder / "bin/python")
        return [
            [uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", python, "-r", pins.name],
        ]

    return PythonClient(installed(f"python-{name}", [pins], commands), home)
