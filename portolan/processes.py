"""A supervised process tree: what one Ctrl-C ends."""

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

STOP_S = 15.0


class Processes:
    """Children in sessions of their own, so that Ctrl-C reaches them through us and in order."""

    def __init__(self, **environment: str) -> None:
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._beside: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | environment

    def portolan(self, name: str, *arguments: str, **environment: str) -> None:
        """Run ``portolan`` with ``arguments``."""
        self.run(name, [sys.executable, "-m", "portolan", *arguments], **environment)

    def run(self, name: str, command: list[str], **environment: str) -> None:
        """Run ``command`` until ``stop``."""
        child = subprocess.Popen(command, env=self._environment | environment, start_new_session=True)
        self._children.append((name, child))

    def beside(self, *arguments: str) -> None:
        """Run ``portolan`` once beside the rest, unless the one before is still at work."""
        if self._beside is None or self._beside.poll() is not None:
            command = [sys.executable, "-m", "portolan", *arguments]
            quiet = subprocess.DEVNULL
            self._beside = subprocess.Popen(command, env=self._environment, start_new_session=True, stdout=quiet)

    def ended(self) -> tuple[str, int] | None:
        """The first child that is no longer running, with its exit code."""
        for name, child in self._children:
            code = child.poll()
            if code is not None:
                return name, code
        return None

    def stop(self) -> None:
        """End the children, the last started first; what does not end in time is killed."""
        children = [child for _, child in self._children]
        for child in reversed([*children, *([self._beside] if self._beside else [])]):
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM end the process as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for(url: str, ended: Callable[[], object | None], seconds: float = 60.0) -> bool:
    """Whether ``url`` answers within ``seconds`` while no child ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and ended() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
