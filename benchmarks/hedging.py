"""Measure benefit and cost of hedging: routers that differ only in the hedge budget, one lab, interleaved rounds.

``python -m benchmarks.hedging``; ``--write`` puts the table into docs/chaos.md. Two kinds of tail at the endpoint that
is asked first: the widest of those that the lab draws from measured requests, and single calls that take ten times as
long. The endpoint asked beside it is tight and usually as quick.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from benchmarks.tables import write_between
from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint
from data.lake import Lake
from data.record import lake_files
from data.record.attempt import HEDGE
from lab.behaviour import behaviour_of
from lab.server import Lab, create_app
from router_service.admission.keys import create_key, open_database
from router_service.execution.deadlines import MIN_MEASURED
from tests.conftest import serving
from tests.running import Running, free_port

PAGE = Path(__file__).parents[1] / "docs" / "chaos.md"
MARKER = "<!-- table: python -m benchmarks.hedging --write -->"
SHARES = (0.0, 0.02, 0.05)
# Five times as fast as the market: a wait is still many times what a busy machine adds.
TIME_SCALE = 0.2
WIDE, TIGHT = 0.6, 0.2
RARELY_SLOW = {"mode": "slow", "rate": 0.02, "factor": 10.0}
TIMEOUT_S = 60.0
WARM_UP = 5 * MIN_MEASURED
# Five of these small requests, so that what is compared are the shares.
BURST_TOKENS = 350


class Tail(NamedTuple):
    """``first`` is asked first and has it, ``second`` may be asked beside it."""

    name: str
    first: Endpoint
    second: Endpoint
    fault: dict[str, Any] | None


@dataclass
class Router:
    """One of the processes compared, and the TTFT in seconds of each answer, by tail and generation id."""

    share: float
    url: str
    headers: dict[str, str]
    lake: Lake
    seen: dict[str, dict[str, float]] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/chaos.md")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=100, help="in each round, for each router and tail")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    options = parser.parse_args()
    lab = Lab(time_scale=TIME_SCALE, faults=False)
    tails = choose(lab.seed)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        lab_url = stack.enter_context(serving(create_app(lab)))
        for tail in tails:
            if tail.fault:
                lab.modes[tail.first.id] = tail.fault
        with ExitStack() as running:
            routers = [running.enter_context(router(Path(folder), share, lab_url)) for share in SHARES]
            asyncio.run(rounds(routers, tails, options.rounds, options.requests, options.rate))
        text = table(routers, tails)
    print(text)
    if options.write:
        write_between(PAGE, MARKER, f"\n{text}\n")


def choose(seed: int) -> tuple[Tail, Tail]:
    """Return, for each kind, the two pairs of endpoints of one model whose medians are closest."""

    def distance(pair: tuple[Endpoint, Endpoint]) -> float:
        one, other = (behaviour_of(e.id, seed).ttft_median_s for e in pair)
        return abs(math.log(one / other))

    def sigma(endpoint: Endpoint) -> float:
        return behaviour_of(endpoint.id, seed).ttft_sigma

    pairs = [pair for pair in _pairs() if sigma(pair[1]) <= TIGHT]
    wide = min((pair for pair in pairs if sigma(pair[0]) >= WIDE), key=distance)
    tight = min((pair for pair in pairs if sigma(pair[0]) <= TIGHT and pair[0].model != wide[0].model), key=distance)
    share, times = RARELY_SLOW["rate"], RARELY_SLOW["factor"]
    return (
        Tail(f"log-normal, σ = {sigma(wide[0]):.2f}", *wide, None),
        Tail(f"{share:.0%} of calls {times:g} times as slow", *tight, RARELY_SLOW),
    )


def _pairs() -> Iterator[tuple[Endpoint, Endpoint]]:
    for _, endpoints in sorted(load_catalogue().endpoints.items()):
        fit = [
            e for e in endpoints if e.task == "chat" and e.enabled and e.price and not e.free and e.tag == e.provider
        ]
        fit = [e for e in fit if e.wire_format == "openai_chat" and e.price and e.price.prompt]
        # A provider's name is to mean one endpoint alone.
        offers = Counter(e.provider for e in endpoints)
        fit = [e for e in fit if offers[e.provider] == 1]
        yield from ((a, b) for a, b in permutations(fit, 2) if a.provider != b.provider)


@contextmanager
def router(folder: Path, share: float, lab_url: str) -> Iterator[Router]:
    """A process with one worker; on the way out its log is sealed."""
    data = folder / f"{share:g}"
    lake = Lake(data).create()
    key, port = create_key(open_database(lake.database), "hedging"), free_port()
    settings = {"PORTOLAN_HEDGE_SHARE": str(share), "PORTOLAN_HEDGE_BURST_TOKENS": str(BURST_TOKENS)}
    settings |= {"PORTOLAN_LAB_URL": lab_url}
    serve = ("serve", "--workers", "1", "--port", str(port), "--data-dir", str(data))
    with Running(folder / f"{share:g}.output", *serve, **settings) as process:
        url = f"http://127.0.0.1:{port}"
        process.ready(f"{url}/health")
        yield Router(share, url, {"authorization": f"Bearer {key}"}, lake)
        assert process.end() in (0, -signal.SIGTERM), process.output


async def rounds(routers: Sequence[Router], tails: Sequence[Tail], count: int, requests: int, rate: float) -> None:
    """Every router and tail in each round, in an order of chance; before that each learns what is usual."""
    dice = random.Random(1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        for router in routers:
            for tail in tails:
                # The first requests of a process are slow for reasons of its own.
                await send(session, router, tail, [tail.first.tag], WARM_UP, rate)
                await send(session, router, tail, [tail.second.tag], WARM_UP, rate)
                router.seen[tail.name] = {}
        turns = [(router, tail) for router in routers for tail in tails]
        for number in range(count):
            dice.shuffle(turns)
            for router, tail in turns:
                found = await send(session, router, tail, [tail.first.tag, tail.second.tag], requests, rate)
                router.seen[tail.name] |= found
            print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)


async def send(
    session: aiohttp.ClientSession, router: Router, tail: Tail, order: list[str], count: int, rate: float
) -> dict[str, float]:
    """TTFT in seconds by generation id of ``count`` streams, ``rate`` of them a second whatever comes back."""
    begun = time.perf_counter()
    tasks = []
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(session, router, tail, order)))
    return dict(await asyncio.gather(*tasks))


async def _one(session: aiohttp.ClientSession, router: Router, tail: Tail, order: list[str]) -> tuple[str, float]:
    body = {
        "model": tail.first.model,
        "stream": True,
        "max_tokens": 8,
        "messages": [{"role": "user", "content": "hello"}],
        "provider": {"order": order, "allow_fallbacks": len(order) > 1, "only": order},
    }
    sent, first = time.perf_counter(), None
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    url = f"{router.url}/api/v1/chat/completions"
    async with session.post(url, data=json.dumps(body), headers=router.headers, timeout=timeout) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            if first is None and line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                if any(choice["delta"].get("content") for choice in choices):
                    first = time.perf_counter() - sent
    if first is None:
        raise AssertionError(f"an answer of {tail.first.id} had no token")
    return answer.headers["x-generation-id"], first


def table(routers: Sequence[Router], tails: Sequence[Tail]) -> str:
    """Markdown. Waits as clients saw them, calls and costs as the routers' own logs have them."""
    lines = [
        "| tail of the first endpoint | `PORTOLAN_HEDGE_SHARE` | requests | TTFT p50, ms | p95, ms | p99, ms "
        "| hedged requests | answered first | extra cost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    logs = {router.share: _rows(router.lake) for router in routers}
    for tail in tails:
        for router in routers:
            waits = router.seen[tail.name]
            rows = [logs[router.share][name] for name in waits]
            hedged = [row for row in rows if any(a["reason"] == HEDGE for a in row["attempts"])]
            won = sum(row["endpoint"] == tail.second.id for row in hedged)
            extra = sum(row["hedge_cost_nano"] or 0 for row in rows) / sum(row["cost_nano"] for row in rows)
            ordered = sorted(waits.values())
            cells = [tail.name, f"{router.share:g}", f"{len(rows):,}"]
            cells += [f"{1000 * _level(ordered, percent):.0f}" for percent in (50, 95, 99)]
            cells += [f"{len(hedged) / len(rows):.1%}", f"{won / len(hedged):.0%}" if hedged else "–", f"{extra:.1%}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(lake: Lake) -> dict[str, dict[str, Any]]:
    columns = ["generation_id", "attempts", "cost_nano", "hedge_cost_nano", "endpoint"]
    return {row["generation_id"]: row for row in lake_files.read_all(lake, columns).to_pylist()}


def _level(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


if __name__ == "__main__":
    main()
