"""Measure how long one request blocks the event loop of a router: ``python -m tests.fuzz.loop_meter [--megabytes N]``.

A callback runs each millisecond in the worker itself. The longest pause between two of its runs is the longest block.
A pause counts as the shorter of two times: its wall-clock time without that in which the loop's thread was ready to run
and had no processor, and the processor time of the whole process. Other processes lengthen neither much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx2
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from tests.fuzz.hostile_bodies import hostile_bodies
from tests.fuzz.market import good
from tests.fuzz.raw_provider import RawProvider
from tests.running import ROOT, environment, free_port, until

PATH = "/longest-block"
AIM_MS = 50.0
FORMATS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "cohere")


class LoopMeter:
    """Serve ``app``, and at ``PATH`` the longest block in milliseconds since the last time that was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._begun = False
        self._at = self._used = self._longest = 0.0
        self._schedule: BinaryIO | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or say what was measured."""
        if not self._begun:
            self._begun = True
            self._restart()
            self._tick()
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        longest = self._longest
        self._restart()
        body = json.dumps({"longest_ms": 1000 * longest}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    def _restart(self) -> None:
        self._at, self._used, self._longest = self._running_s(), time.process_time(), 0.0

    def _tick(self) -> None:
        at, used = self._running_s(), time.process_time()
        self._longest = max(self._longest, min(at - self._at, used - self._used))
        self._at, self._used = at, used
        asyncio.get_running_loop().call_later(0.001, self._tick)

    def _running_s(self) -> float:
        """Return seconds that pass unless this thread, the loop's, waits for a processor."""
        if self._schedule is None:
            # Linux says there how long a thread has run and has waited, in nanoseconds.
            self._schedule = Path("/proc/thread-self/schedstat").open("rb", buffering=0)  # noqa: SIM115
        self._schedule.seek(0)
        return time.perf_counter() - int(self._schedule.read(100).split()[1]) / 1e9


def metered_app() -> ASGIApp:
    """Return the router's application with a meter around it."""
    from router_service.app import app

    return LoopMeter(app())


@contextmanager
def metered_router(folder: Path) -> Iterator[httpx2.Client]:
    """Run a router with a meter, as a process, and yield a client with a key."""
    lake = Lake(folder / "data").create()
    key = create_key(open_database(lake.database), "meter")
    port = free_port()
    with RawProvider({"good": good}) as provider:
        (folder / "portolan.toml").write_text(_configuration(provider.url("good")))
        variables = {"PORTOLAN_DATA_DIR": str(lake.root), "PORTOLAN_CONFIG": str(folder / "portolan.toml")}
        command = [sys.executable, "-m", "tests.fuzz.loop_meter", "--serve", str(port)]
        with (folder / "output").open("ab") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment() | variables, stdout=output, stderr=output)
        url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"}
        try:
            with httpx2.Client(base_url=url, headers=headers, timeout=120, trust_env=False) as client:
                until(lambda: process.poll() is not None or _answers(client), "the router answers")
                assert process.poll() is None, (folder / "output").read_text()
                yield client
        finally:
            process.kill()
            process.wait(60)


def _configuration(url: str) -> str:
    """Return a file with a provider of each wire format. Their answers do not matter: what they are sent does."""
    lines = ['[models."test/all"]', 'name = "all"', "context_length = 50_000_000"]
    for wire_format in FORMATS:
        lines += ["[[endpoints]]", f'provider = "{wire_format}"', 'model = "test/all"', 'upstream_model = "m"']
        lines += [f'[providers."{wire_format}"]', f'base_url = "{url}"', f'wire_format = "{wire_format}"', 'key = "k"']
    return "\n".join(lines)


def longest_block_ms(client: httpx2.Client, path: str, body: bytes) -> tuple[httpx2.Response, float]:
    """Send ``body``; return the response and the longest block in milliseconds."""
    client.get(PATH)
    response = client.post(path, content=body)
    return response, longest_since(client)


def longest_since(client: httpx2.Client) -> float:
    """Return the longest block in milliseconds since this was asked the last time."""
    return float(client.get(PATH).json()["longest_ms"])


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx2.TransportError:
        return False


def _measure(size: int, chosen: Callable[[str], bool]) -> None:
    with tempfile.TemporaryDirectory() as folder, metered_router(Path(folder)) as client:
        longest = 0.0
        for name, path, body in hostile_bodies(size):
            if not chosen(name):
                continue
            response, blocked = longest_block_ms(client, path, body)
            longest = max(longest, blocked)
            said = (response.json().get("error") or {}).get("message", "")[:90]
            print(f"{name:44} {len(body) / 1e6:6.1f} MB {blocked:8.1f} ms {response.status_code} {said}")
        print(f"longest block: {longest:.1f} ms; the aim is {AIM_MS:g} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=15.0)
    parser.add_argument("--only", default="", help="part of the names of the bodies to send")
    parser.add_argument("--serve", type=int, help="serve the router at this port, with a meter")
    given = parser.parse_args()
    if given.serve:
        protocol = "router_service.http_protocol:HttpProtocol"
        uvicorn.run(metered_app, factory=True, port=given.serve, http=protocol, log_level="warning")
    else:
        _measure(int(given.megabytes * 1e6), lambda name: given.only in name)
