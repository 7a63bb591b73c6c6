"""A real router in front of a real lab, both on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from data.lake import Lake
from lab.server import Lab, create_app
from router_service.admission.keys import create_key, open_database
from router_service.api.services import Services
from router_service.app import create_app as create_router
from router_service.http_protocol import HttpProtocol
from router_service.settings import Settings
from tests.running import Running, free_port, until

# A slow example on a busy machine is no failure, and no run depends on an earlier one.
hypothesis_settings.register_profile(
    "random", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile("repeatable", hypothesis_settings.get_profile("random"), derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Draw the same examples in every run of ``make test``, and others in each run of ``make test-slow``."""
    hypothesis_settings.load_profile("repeatable" if config.option.markexpr == "not slow" else "random")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what stays for the whole run: modules, and ten thousand tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class ServerInThread(uvicorn.Server):
    """Serve ``app`` from a thread of its own, at ``port`` or any free one.

    uvicorn looks every tenth of a second whether it is to end; this server is told.
    """

    def __init__(self, app: object, port: int | None = None) -> None:
        port = port or free_port()
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                host="127.0.0.1",
                port=port,
                http=HttpProtocol,
                log_level="error",
                timeout_graceful_shutdown=2,
            )
        )
        self.url = f"http://127.0.0.1:{port}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        while not self.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)

    async def main_loop(self) -> None:
        """Serve until it is told to end; uvicorn renews the date of its responses every tenth tick."""
        self._loop, tick = asyncio.get_running_loop(), 0
        while not await self.on_tick(tick):
            tick += 10
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1.0)

    def tell(self) -> None:
        """Tell the server to end, without waiting for it."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # It has ended by itself.
                self._loop.call_soon_threadsafe(self._told.set)

    def join(self) -> None:
        """Wait until the server has ended."""
        self._thread.join(timeout=60)


@contextlib.contextmanager
def serving(app: object, port: int | None = None) -> Iterator[str]:
    """Serve an ASGI application from a thread, at ``port`` or any free one; yields its address."""
    server = ServerInThread(app, port)
    try:
        yield server.url
    finally:
        server.tell()
        server.join()


@dataclass
class Stack:
    """Addresses of a running router and lab, the lab itself, a key, the data, what the router holds."""

    url: str
    lab: Lab
    key: str
    lake: Lake
    services: Services

    def new_key(self, **policy: Any) -> str:
        """A key with ``policy``."""
        return create_key(open_database(self.lake.database), "another", json.dumps(policy))

    @property
    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=120)

    def record(self, generation_id: str) -> dict[str, Any]:
        """The row of a request, once its record is made."""
        recent = self.services.records.recent
        until(lambda: recent.get(generation_id) is not None, "the record is made")
        return recent.get(generation_id) or {}

    def send(self, body: dict[str, Any]) -> socket.socket:
        """Send a chat request on a connection of its own and read nothing; the client leaves when it is closed."""
        address, content = urlsplit(self.url), json.dumps(body).encode()
        head = f"POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n"
        connection = socket.create_connection((address.hostname, address.port), timeout=120)
        connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        return connection


@contextlib.contextmanager
def open_stack(data_dir: Path, lab: Lab | None = None, **settings: Any) -> Iterator[Stack]:
    """A market without chance failures, each wait of the lab cut to nothing unless ``lab`` is another.

    Nothing but a hang reaches the deadline of the first token, on a busy machine neither.
    """
    lab = lab or Lab(time_scale=0.0, faults=False)
    with contextlib.ExitStack() as exits:
        market = ServerInThread(create_app(lab))
        exits.callback(market.join)
        exits.callback(market.tell)
        wanted = {"data_dir": data_dir, "lab_url": market.url, "ttft_timeout": 30.0, "keepalive_interval": 0.3}
        lake = Lake(data_dir).create()
        key = create_key(open_database(lake.database), "test")
        app = create_router(Settings(**wanted | settings))
        router = ServerInThread(app)
        # Told before either is waited for, both end in the time of one.
        exits.callback(router.join)
        exits.callback(market.tell)
        exits.callback(router.tell)
        yield Stack(router.url, lab, key, lake, app.container.services)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """One with the settings of a first start, but for keep-alive comments that come soon."""
    with open_stack(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def lab_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The lab in a process of its own, with its measured failures, fifty times as fast."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    output = tmp_path_factory.mktemp("lab") / "output"
    with Running(output, "lab", "--port", str(port), "--time-scale", "0.02") as lab:
        lab.ready(f"{url}/_log")
        yield url
