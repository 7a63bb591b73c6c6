"""Keep a router of two workers busy, and see whether anything grows: ``python -m benchmarks.soak [--seconds 1200]``.

Requests come at a fixed rate over kept connections: responses, streams, streams that their clients leave, errors of a
provider with a fallback, malformed bodies and unknown keys. Resident memory, file descriptors, journals and waiting
records are read each second. It ends with code 1 if one of them grew beyond its bound, if a request got what it should
not, or if a kept connection broke.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from data.record.lake_reader import open_dataset, request_files
from tests.fuzz.market import FIRST, LAST, SSE_HEAD, FaultyMarket, faulty_market, framed, good, rss_bytes
from tests.fuzz.raw_provider import respond
from tests.running import until

WORKERS = 2
WARM_UP_S = 20.0
IDLE_S = 3.0
ALLOWED_GROWTH = 1.2
ALLOWED_DESCRIPTORS = 10
# Two journals begin anew at 8 MB each.
ALLOWED_JOURNALS = 24_000_000
TOKEN_PAUSE_S = 0.3
STATUSES = {"whole": 200, "stream": 200, "slow": 200, "left": 200, "failing": 200, "malformed": 400, "unknown": 401}
SHARES = {"whole": 35, "stream": 35, "slow": 9, "left": 9, "failing": 9, "malformed": 2, "unknown": 1}


async def slow(writer: asyncio.StreamWriter, streamed: bool) -> None:  # noqa: ARG001 (part of a script)
    """Stream a few tokens with pauses."""
    writer.write(SSE_HEAD)
    for _ in range(5):
        writer.write(framed(FIRST, end=False))
        await writer.drain()
        await asyncio.sleep(TOKEN_PAUSE_S)
    writer.write(framed(LAST))
    await writer.drain()


failing = respond(b'{"error":{"message":"no"}}', status="500 Internal Server Error")


@dataclass
class Sample:
    """Hold what one second showed: bytes of memory, descriptors, and bytes of journals."""

    at: float
    memory: int
    descriptors: int
    journals: int


@dataclass
class Soak:
    """Count what came of the requests."""

    market: FaultyMarket
    rate: float
    seconds: float
    found: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    async def run(self) -> None:
        """Send the requests, each at its time, whatever became of those before."""
        draw, kinds, weights = random.Random(7), list(SHARES), list(SHARES.values())
        sampling = asyncio.create_task(self._sample())
        connector = aiohttp.TCPConnector(limit=0)
        begun, tasks = time.perf_counter(), set()
        async with aiohttp.ClientSession(connector=connector) as session:
            for number in range(int(self.rate * self.seconds)):
                await asyncio.sleep(max(0.0, begun + number / self.rate - time.perf_counter()))
                task = asyncio.create_task(self._one(session, draw.choices(kinds, weights)[0]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        sampling.cancel()

    async def _one(self, session: aiohttp.ClientSession, kind: str) -> None:
        name = {"slow": "slow", "left": "slow", "failing": "failing"}.get(kind, "ok")
        body: Any = self.market.body(name, stream=kind in ("stream", "slow", "left"))
        if kind == "malformed":
            body["messages"] = "none"
        key = "unknown" if kind == "unknown" else self.market.key
        headers = {"authorization": f"Bearer {key}"}
        url = f"{self.market.url}/api/v1/chat/completions"
        try:
            async with session.post(url, json=body, headers=headers) as response:
                if kind == "left":
                    await response.content.readany()
                    # The connection is closed, as by a client that has been stopped.
                    response.close()
                    content = b"[DONE]"
                else:
                    content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.faults.append(f"{kind}: {error!r}")
            return
        self.found[f"{kind} {response.status}"] += 1
        if response.status != STATUSES[kind] or (body["stream"] and b"[DONE]" not in content):
            self.faults.append(f"{kind}: {response.status} {content[:200]!r}")

    async def _sample(self) -> None:
        market, begun = self.market, time.perf_counter()
        while True:
            self.samples.append(await asyncio.to_thread(sample, market, begun))
            await asyncio.sleep(1.0)


def sample(market: FaultyMarket, begun: float) -> Sample:
    """Read the state of all processes of the router."""
    pids = market.running.alive()
    descriptors = 0
    for pid in pids:
        try:
            descriptors += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
    journals = sum(path.stat().st_size for path in market.lake.health.glob("*.health"))
    return Sample(time.perf_counter() - begun, sum(map(rss_bytes, pids)), descriptors, journals)


def sample_idle(market: FaultyMarket) -> Sample:
    """Read the state when the connections that clients have closed are gone; those to providers stay for a while."""
    time.sleep(IDLE_S)
    return sample(market, time.perf_counter())


def report(soak: Soak, idle: Sample, after: Sample, lost: int) -> list[str]:
    """Print what was measured, and return what went beyond its bound."""
    third = max(1, len(soak.samples) // 3)
    early, late = soak.samples[:third], soak.samples[-third:]
    memory = [statistics.median(one.memory for one in part) for part in (early, late)]
    rows = [
        ("requests", f"{sum(soak.found.values()):,}: {dict(sorted(soak.found.items()))}"),
        ("memory, early and late", " and ".join(f"{one / 1e6:.1f} MB" for one in memory)),
        ("descriptors, idle before, most, idle after",
         f"{idle.descriptors}, {max(one.descriptors for one in soak.samples)}, {after.descriptors}"),
        ("journals, most", f"{max(one.journals for one in soak.samples) / 1e6:.2f} MB"),
        ("records that are missing", f"{lost}"),
        ("faults", f"{len(soak.faults)} {soak.faults[:3]}"),
    ]  # fmt: skip
    print("\n".join(f"{name:45} {value}" for name, value in rows))
    beyond = [
        ("memory", memory[1] > memory[0] * ALLOWED_GROWTH),
        ("descriptors", after.descriptors > idle.descriptors + ALLOWED_DESCRIPTORS),
        ("journals", max(one.journals for one in soak.samples) > ALLOWED_JOURNALS),
        ("records", lost > 0),
        ("faults", bool(soak.faults)),
    ]
    return [name for name, failed in beyond if failed]


def main() -> None:
    """Run, report and end with 1 if something went beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    options = parser.parse_args()
    scripts = {"ok": good, "slow": slow, "failing": failing}
    with tempfile.TemporaryDirectory(prefix="portolan-soak-") as folder:
        with faulty_market(Path(folder), scripts, "--workers", str(WORKERS)) as market:
            # Caches and pools of connections fill, and the processes that seal begin.
            warm_up = Soak(market, options.rate, min(WARM_UP_S, options.seconds))
            asyncio.run(warm_up.run())
            idle = sample_idle(market)
            soak = Soak(market, options.rate, options.seconds)
            asyncio.run(soak.run())
            found = warm_up.found + soak.found
            expected = sum(count for kind, count in found.items() if not kind.startswith("unknown"))
            after = sample_idle(market)
            with market.client() as client:
                until(lambda: client.get("/health").json()["log"]["waiting"] == 0, "the log is written")
            market.running.end()
            rows = open_dataset(request_files(market.lake)).to_table(columns=["generation_id", "error_type"])
            recorded = sum(one != "authentication" for one in rows["error_type"].to_pylist())
            beyond = report(soak, idle, after, expected - recorded)
    sys.exit(f"beyond its bound: {', '.join(beyond)}" if beyond else 0)


if __name__ == "__main__":
    main()
