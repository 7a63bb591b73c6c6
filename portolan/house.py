"""``portolan up``: the processes of a whole market, supervised as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_S = 15.0


class House:
    """Child processes in sessions of their own, so that one Ctrl-C reaches them through us, in order."""

    def __init__(self, data_dir: Path) -> None:
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._refresh: subprocess.Popen[bytes] | None = None
        self._environment = dict(os.environ, PORTOLAN_DATA_DIR=str(data_dir))

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Run ``portolan`` with ``arguments``."""
        command = [sys.executable, "-m", "portolan", *arguments]
        child = subprocess.Popen(command, env=self._environment | environment, start_new_session=True)
        self._children.append((name, child))

    def refresh(self) -> None:
        """Run the pipelines once beside the rest, unless an earlier run is still at work."""
        if self._refresh is None or self._refresh.poll() is not None:
            command = [sys.executable, "-m", "portolan", "refresh"]
            self._refresh = subprocess.Popen(command, env=self._environment, start_new_session=True)

    def ended(self) -> tuple[str, int] | None:
        """The first child that is no longer running, with its exit code."""
        for name, child in self._children:
            code = child.poll()
            if code is not None:
                return name, code
        return None

    def stop(self) -> None:
        """End the children, last started first; those that do not end in time are killed."""
        children = [child for _, child in self._children]
        if self._refresh is not None:
            children.append(self._refresh)
        for child in reversed(children):
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM end the house as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for(url: str, ended: Callable[[], tuple[str, int] | None], seconds: float = 60.0) -> bool:
    """Whether ``url`` answers within ``seconds`` while no child ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and ended() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
