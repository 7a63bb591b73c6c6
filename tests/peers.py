"""Provide workers that share, and a real server between their machines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec
import pytest
import valkey

from data.record.attempt import Attempt
from models.selection.decision.live_observations import EndpointView
from router_service.affinity.sticky import StickyTable
from router_service.cluster.peers import PeerTransport
from router_service.cluster.sharing import StateSharing
from router_service.core.exchange import Exchange
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.health import Health
from router_service.health.live_statistics import LiveStatistics
from tests.exchanges import exchange_of
from tests.outcomes import failed
from tests.running import free_port, until

PASSWORD = "wind and tide"


class Clock:
    """Return the time that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Worker:
    """Hold what one process knows, and its connection to the others."""

    def __init__(self, *transports: PeerTransport, clock: Callable[[], float] = time.monotonic) -> None:
        self.health = Health(clock)
        self.sticky = StickyTable(self.health, clock=clock)
        self.statistics = LiveStatistics(clock)
        self.outcomes = OutcomeReporter([self.statistics], [self.statistics.begin])
        self.sharing = StateSharing(self.health, self.sticky, transports, clock=clock, statistics=self.statistics)
        self._clock = clock

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.sharing.close()

    def synchronise(self) -> None:
        self.sharing.synchronise()

    def begin(self, endpoint: str = "e:m") -> tuple[Exchange, Attempt]:
        """Report that a call was sent."""
        exchange, attempt = exchange_of(), Attempt(endpoint, "e", "a/b")
        exchange.request = msgspec.structs.replace(exchange.request, arrival_s=self._clock())
        exchange.route.attempts.append(attempt)
        self.outcomes.begin(exchange, attempt)
        return exchange, attempt

    def call(self, endpoint: str = "e:m", latency_s: float = 0.5, error: str | None = None) -> None:
        """Report a call that took ``latency_s``, or failed after that time."""
        exchange, attempt = self.begin(endpoint)
        request = exchange.request
        exchange.request = msgspec.structs.replace(request, arrival_s=request.arrival_s - latency_s)
        attempt.duration_us = int(latency_s * 1e6)
        attempt.error_type, attempt.ttft_us = error, None if error else attempt.duration_us
        self.outcomes.settle(exchange)

    def view(self, endpoint: str = "e:m") -> EndpointView:
        """Return what has been observed of ``endpoint`` up to now."""
        return self.statistics.snapshot([endpoint]).views[0]

    def burst(self, endpoint: str = "e") -> None:
        """Report five failures, which eject the endpoint."""
        for _ in range(5):
            self.health.report(failed(endpoint, "server"))


def server_binary() -> str:
    """Return the program of a real server, or skip the test."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = shutil.which("valkey-server", path=folders) or shutil.which("redis-server", path=folders)
    if found is None:
        pytest.skip("no valkey-server and no redis-server: sharing between machines is not tested")
    return found


class Server:
    """Run a real Redis or Valkey server on loopback, with a password and nothing on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, password: str = PASSWORD) -> str:
        return f"redis://:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/0"

    def client(self) -> valkey.Valkey:
        return valkey.Valkey.from_url(self.url())

    def start(self) -> Server:
        command = [server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self._folder), *self._options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers, "the server answers")
        return self

    def pause(self) -> None:
        """Accept connections but answer nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(120)
            self.process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self.stop()

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except valkey.ConnectionError:
                return False
