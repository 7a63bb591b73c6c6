"""The upstream clients and two libraries: calls a second and processor time a call, 64 at once, instant upstream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import aiohttp
import uvloop
from pyreqwest.client import ClientBuilder

from benchmarks.gateway.__main__ import UPSTREAM, pin, start, wait_for
from router_service.core.http_request import HttpRequest
from router_service.upstream.client import ClientName, open_client

URL = f"http://127.0.0.1:{UPSTREAM}/v1/chat/completions"
HEADERS = {"content-type": "application/json", "authorization": "Bearer bench"}
BODY = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"tide " * 120)
AT_ONCE, EACH = 64, 300


async def measure(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Calls a second, and microseconds of processor time a call."""

    async def many(count: int) -> None:
        for _ in range(count):
            await call()

    await asyncio.gather(*(many(10) for _ in range(AT_ONCE)))
    begun, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(many(EACH) for _ in range(AT_ONCE)))
    calls = AT_ONCE * EACH
    return calls / (time.perf_counter() - begun), (time.process_time() - used) / calls * 1e6


async def main() -> None:
    request = HttpRequest(URL, HEADERS, BODY)
    results = {}
    names: tuple[ClientName, ...] = ("direct", "httpx2")
    for name in names:
        client = open_client(name, 5)
        results[name] = await measure(lambda client=client: client.send(request, 600))
        await client.close()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def by_aiohttp() -> None:
            async with session.post(URL, data=BODY, headers=HEADERS) as response:
                await response.read()

        results["aiohttp"] = await measure(by_aiohttp)
    rust = ClientBuilder().build()

    async def by_pyreqwest() -> None:
        response = await rust.post(URL).headers(HEADERS).body_bytes(BODY).build().send()
        await response.bytes()

    results["pyreqwest"] = await measure(by_pyreqwest)
    await rust.close()
    print("| client | calls/s | processor µs a call | of aiohttp |\n|---|---|---|---|")
    for name, (rate, cost) in results.items():
        print(f"| {name} | {rate:,.0f} | {cost:.0f} | {cost / results['aiohttp'][1]:.2f} |")


if __name__ == "__main__":
    with ExitStack() as stack:
        start(stack, 1, "benchmarks.gateway.upstream", str(UPSTREAM))
        if own := pin(0):
            own()
        wait_for(UPSTREAM)
        uvloop.run(main())
