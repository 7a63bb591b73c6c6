"""Profile the processor time of a request inside the router by package, without server and load.

``python -m benchmarks.gateway.profile [--stream]``. The handler is called directly, 64 requests at once,
against the instant upstream. cProfile weighs many small calls heavier than they are: read shares, not times.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks.gateway.__main__ import PAGE, UPSTREAM, pin, start, wait_for
from benchmarks.gateway.wire import request
from benchmarks.tables import write_between
from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from router_service.api.handler import GenerationHandler
from router_service.api.skins.chat.endpoint import ChatEndpoint
from router_service.container import Container
from router_service.core.client_connection import CONNECTION_KEY, ClientConnection, Headers
from router_service.settings import Settings

AT_ONCE, EACH = 64, 100
PACKAGES = (
    "api", "admission", "planning", "execution", "affinity", "health", "cluster", "providers", "upstream", "accounting",
    "telemetry", "core",
)  # fmt: skip


def package_of(file: str, name: str) -> str:
    """Return the package that a profiled function belongs to."""
    if "router_service" in file:
        part = file.split("router_service/")[1].split("/")[0].removesuffix(".py")
        return part if part in PACKAGES else "app, container"
    if file == "~":
        for package in ("msgspec", "zlib", "httptools", "uvloop"):
            if package in name:
                return package
        return "built-in functions"
    return "data/" if "/data/" in file else "models/" if "/models/" in file else "asyncio and the rest"


class Discarded:
    """Take a response and drop it."""

    must_wait = False

    def take_body(self) -> bytes | None:
        return None

    async def drain(self) -> None: ...

    def begin(self, status: int, headers: Headers, *, lines: bytes = b"", length: int | None = None) -> None: ...

    def write(self, body: bytes, *, more: bool) -> None: ...


async def profiled(stream: bool, folder: str) -> Counter[str]:
    """Return seconds by package."""
    key = create_key(open_database(Lake(folder).create().database), "profile")
    settings = Settings(data_dir=Path(folder), lab_url=f"http://127.0.0.1:{UPSTREAM}", category_share=0)
    container = Container(settings)
    head, body = request("/", key, stream=stream).split(b"\r\n\r\n", 1)
    headers = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]
    chat = GenerationHandler(container.services, ChatEndpoint(container.services.catalogue))

    connection = ClientConnection()
    connection.response = Discarded()

    async def send(_message: object) -> None:
        raise AssertionError("a hot route writes to the response of its connection")

    async def one() -> None:
        messages = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, object]:
            return messages.pop() if messages else await asyncio.Future()

        await chat({"type": "http", "headers": headers, "state": {CONNECTION_KEY: connection}}, receive, send)

    async def many(count: int) -> None:
        for _ in range(count):
            await one()

    async with container.running():
        await asyncio.gather(*(many(5) for _ in range(AT_ONCE)))
        profile = cProfile.Profile()
        profile.enable()
        await asyncio.gather(*(many(EACH) for _ in range(AT_ONCE)))
        profile.disable()
    spent: Counter[str] = Counter()
    for (file, _line, name), (_calls, _primitive, own, _cumulative, _callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        spent[package_of(file, name)] += own
    return spent


def table(spent: Counter[str]) -> str:
    """Return a Markdown table."""
    total = spent.total()
    rows = [f"| {name} | {seconds / total:.0%} |" for name, seconds in spent.most_common() if seconds / total > 0.01]
    return "\n".join(["| where | share |", "|---|---|", *rows])


def run(stream: bool) -> Counter[str]:
    with ExitStack() as stack:
        start(stack, 1, "benchmarks.gateway.upstream", str(UPSTREAM))
        if own := pin(0):
            own()
        wait_for(UPSTREAM)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portolan-profile-"))
        os.environ.pop("PORTOLAN_DATA_DIR", None)
        return uvloop.run(profiled(stream, folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--write", action="store_true", help="put both tables into docs/speed.md")
    options = parser.parse_args()
    if options.write:
        # Each in a process of its own: settings and affinity are the process's.
        parts = [
            f"{title}\n\n"
            + subprocess.check_output([sys.executable, "-m", "benchmarks.gateway.profile", *flags], text=True)
            for title, flags in (("Non-streamed responses:", []), ("Streams of 50 chunks:", ["--stream"]))
        ]
        write_between(PAGE, "<!-- profile", "\n".join(parts).rstrip())
    else:
        print(table(run(options.stream)))
