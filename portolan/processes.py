"""Supervise a tree of processes that one Ctrl-C ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

STOP_S = 15.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes:
    """Child processes in sessions of their own, so that Ctrl-C reaches them in order through the parent."""

    def __init__(self, **environment: str) -> None:
        self._children: list[tuple[str, subprocess.Popen[bytes], float]] = []
        self._beside: subprocess.Popen[bytes] | None = None
        self._complaint: IO[bytes] | None = None
        self._said = ""
        self._environment = os.environ | environment

    def portolan(self, name: str, *arguments: str, patience: float = STOP_S, **environment: str) -> None:
        """Run ``portolan`` with ``arguments``."""
        with interrupts_held():
            self.run(name, [sys.executable, "-m", "portolan", *arguments], patience=patience, **environment)

    def run(self, name: str, command: list[str], patience: float = STOP_S, **environment: str) -> None:
        """Run ``command`` until ``stop``, which waits ``patience`` seconds for its end before it kills."""
        child = subprocess.Popen(command, env=self._environment | environment, start_new_session=True)
        self._children.append((name, child, patience))

    def beside(self, *arguments: str) -> None:
        """Run ``portolan`` once beside the rest, unless the one before is still at work."""
        if self._beside is not None and self._beside.poll() is None:
            return
        # Kept rather than shown: one that is ended with the rest has nothing to complain of.
        self._complaint = tempfile.TemporaryFile()  # noqa: SIM115
        with interrupts_held():
            self._beside = subprocess.Popen(
                [sys.executable, "-m", "portolan", *arguments],
                env=self._environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=self._complaint,
            )

    def complaint(self) -> str:
        """Return what the process beside the rest wrote to stderr, when it has ended and for the first time after that.

        Nothing if it succeeded and its predecessor wrote the same.
        """
        if self._complaint is None or self._beside is None or self._beside.poll() is None:
            return ""
        self._complaint.seek(0)
        with self._complaint as file:
            said = file.read().decode(errors="replace").strip()
        self._complaint = None
        before, self._said = self._said, said
        return said if self._beside.returncode or said != before else ""

    def ended(self) -> tuple[str, int] | None:
        """Return the first child that is no longer running, with its exit code."""
        for name, child, _ in self._children:
            code = child.poll()
            if code is not None:
                return name, code
        return None

    def stop(self) -> None:
        """End the children, the last started first. Kill those that are late, or all of them on a second interrupt."""
        started = [(child, patience) for _, child, patience in self._children]
        hurry = False
        for child, patience in reversed([*started, *([(self._beside, STOP_S)] if self._beside else [])]):
            try:
                _end(child, 0.0 if hurry else patience)
            except KeyboardInterrupt:
                for number in ENDING:
                    signal.signal(number, signal.SIG_IGN)
                hurry = True
                _end(child, 0.0)


def _end(child: subprocess.Popen[bytes], patience: float) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience)
    # The whole session: a child that died by itself may have left children of its own.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a child that is started here inherit a mask for SIGINT, which ``portolan.__main__`` lifts.

    An interpreter that is interrupted before it has loaded the first module prints a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the process as Ctrl-C does, to the end of ``stop``.

    SIGHUP stays ignored where it is: ``nohup`` asks for that.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    wanted = [n for n in ENDING if n is not signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for(url: str, ended: Callable[[], object | None], seconds: float = 60.0) -> bool:
    """Return True when ``url`` responds within ``seconds`` and no child process has ended before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and ended() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
