"""``portolan`` as real processes, and what is left of them."""

from __future__ import annotations

import atexit
import functools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import httpx2

ROOT = Path(__file__).parents[1]
MARK = "PORTOLAN_TEST_MARK"
_ONE_AT_A_TIME = threading.Lock()


def environment() -> dict[str, str]:
    """Ours, with wide lines, and bytecode kept where it is forbidden: each start would compile every library."""
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(ROOT / ".pytest_cache" / "bytecode")}
    return os.environ | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | (kept if sys.dont_write_bytecode else {})


def free_port() -> int:
    """A port that nobody listens at, below those that the kernel lends to any client until it is listened at."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(holds: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    """Wait for ``holds``; fail, saying ``what``, when it does not within ``seconds``."""
    deadline, pause_s = time.monotonic() + seconds, 0.002
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(pause_s)
        # Most conditions hold soon; to look again and again costs those that take long.
        pause_s = min(2 * pause_s, 0.05)


def answers(url: str) -> bool:
    """Return True when ``url`` responds with 200 now."""
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def portolan(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.NamedTemporaryFile("r") as stdout, tempfile.NamedTemporaryFile("r") as stderr, _ONE_AT_A_TIME:
        files = {"stdout": stdout.name, "stderr": stderr.name}
        server = _command_server()
        assert server.stdin is not None and server.stdout is not None
        print(json.dumps({"arguments": arguments, "environment": environment() | variables} | files), file=server.stdin)
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(["portolan", *arguments], code, stdout.read(), stderr.read())


@functools.cache
def _command_server() -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-m", "tests.command_server"], subprocess.PIPE
    server = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True)
    atexit.register(server.communicate)
    return server


class Running:
    """A command in a session of its own, of the code at ``root``.

    Every descendant carries its mark, in whatever session it is.
    """

    def __init__(
        self, output: Path, *arguments: str, root: Path = ROOT, module: str = "portolan", **variables: str
    ) -> None:
        mark = uuid.uuid4().hex
        self._mark = f"{MARK}={mark}".encode()
        self._output = output
        env = environment() | variables | {MARK: mark}
        if root != ROOT:
            env["PYTHONPATH"] = str(root)
        with output.open("ab") as file:
            command = [sys.executable, "-m", module, *arguments]
            self.process = subprocess.Popen(
                command, cwd=root, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(120)

    @property
    def output(self) -> str:
        return self._output.read_text()

    def alive(self) -> list[int]:
        """Process ids of the command and its descendants; the dead that nobody has waited for do not count."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def ready(self, url: str) -> None:
        """Wait until ``url`` answers."""
        until(lambda: self.process.poll() is not None or answers(url), f"{url} answers; it said: {self.output}")
        assert self.process.poll() is None, self.output

    def kill(self) -> None:
        """SIGKILL for the whole session at once: one system call reaches all of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(120)
        until(lambda: not self.alive(), "all are dead")

    def kill_all_but(self, spared: set[int]) -> None:
        """SIGKILL for every process except ``spared``."""
        for pid in set(self.alive()) - spared:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(120)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the command to end; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(120)
