"""Install the packages of clients once for each set of pins, and run programs with no other variables than they get."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.running import ROOT

INSTALL_TIMEOUT_S = 900
RUN_TIMEOUT_S = 300
NO_REGISTRY = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT"
    r"|dns error|error sending request|tcp connect error|operation timed out|failed to lookup address",
    re.IGNORECASE,
)


def installed(name: str, pins: Sequence[Path], command: Callable[[Path], Sequence[Sequence[str]]]) -> Path:
    """Return a folder below ``build/`` that is named after the content of ``pins``, filled by ``command`` if it is new.

    ``command`` gets an unfinished folder beside it, which is renamed at the end, so that an interrupted installation
    leaves none. Skips the test if the registry cannot be reached; any other failure is one of the test.
    """
    content = b"".join(path.read_bytes() for path in pins)
    folder = ROOT / "build" / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if folder.exists():
        return folder
    unfinished = folder.with_name(f"{folder.name}-{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for path in pins:
        shutil.copy(path, unfinished)
    for step in command(unfinished):
        done = subprocess.run(step, cwd=unfinished, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        if done.returncode:
            shutil.rmtree(unfinished)
            if NO_REGISTRY.search(done.stderr):
                pytest.skip(f"The packages of {name} are not installed, and their registry cannot be reached")
            pytest.fail(done.stderr[-4000:])
    try:
        unfinished.rename(folder)
    except OSError:
        # Another process was faster.
        shutil.rmtree(unfinished)
        assert folder.exists()
    return folder


def run_program(
    command: Sequence[str | Path], home: Path, variables: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Return what ``command`` wrote, with ``home`` as its home, after its status was 0."""
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home)} | variables
    done = subprocess.run(
        command,
        cwd=cwd or home,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{command[1:3]} said: {done.stderr[-4000:]} {done.stdout[-4000:]}"
    return done
