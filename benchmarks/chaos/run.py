"""Cases driven through a market: calm, struck, mended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.chaos.client import Client, Seen
from benchmarks.chaos.faults import Case
from benchmarks.chaos.market import Market, open_market
from data.record import lake_files

# Answers by the endpoint that was hit before it counts as back: one would be the probe.
BACK_AFTER = 3


@dataclass
class CaseOutcome:
    """Observations of the clients in one case.

    ``planted`` and ``lifted`` are Unix seconds: the start and the end of the fault. ``back_s`` is seconds from the end
    until the endpoint served again, ``None`` where it did not or could not.
    """

    case: Case
    calm: list[Seen] = field(default_factory=list)
    struck: list[Seen] = field(default_factory=list)
    mended: list[Seen] = field(default_factory=list)
    planted: float = 0.0
    lifted: float = 0.0
    back_s: float | None = None


@dataclass
class Run:
    """Outcomes, the router's own record of every request by generation id, the lab's count of completed answers."""

    outcomes: list[CaseOutcome]
    rows: dict[str, dict[str, Any]]
    completed: dict[str, int]


@dataclass
class Drive:
    """Load and timing of every case that runs through ``market``."""

    market: Market
    requests: int
    rate: float
    mended_within_s: float

    async def case(self, client: Client, case: Case) -> CaseOutcome:
        outcome = CaseOutcome(case)
        constant = case.fault.at in ("dns", "tls")
        outcome.calm = await client.send(self.requests // 2, spared=constant)
        self.market.plant(case)
        outcome.planted = time.time()
        outcome.struck = await client.send(self.requests)
        self.market.lift(case)
        outcome.lifted = time.time()
        if not constant:
            await self._until_back(client, outcome)
        return outcome

    async def _until_back(self, client: Client, outcome: CaseOutcome) -> None:
        deadline = time.time() + self.mended_within_s
        while time.time() < deadline:
            outcome.mended += await client.send(4)
            served = [seen for seen in outcome.mended if seen.good and seen.provider == outcome.case.hit.provider_name]
            if len(served) >= BACK_AFTER:
                outcome.back_s = served[0].at - outcome.lifted
                return


def run(
    cases: Sequence[Case],
    folder: Path,
    *,
    requests: int,
    rate: float,
    workers: int,
    at_once: int,
    hedge_share: float = 0.0,
    mended_within_s: float = 40.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Run:
    """``requests`` for each case while its fault holds, ``rate`` a second, ``at_once`` cases side by side.

    Then up to ``mended_within_s`` more until the endpoint serves again.
    """
    with open_market(folder, cases, workers, hedge_share) as market:
        drive = Drive(market, requests, rate, mended_within_s)
        outcomes = asyncio.run(_all(drive, cases, at_once, tell))
    columns = ["generation_id", "started_at", "attempts", "cost_nano", "endpoint", "error_type"]
    rows = lake_files.read_all(market.lake, columns).to_pylist()
    return Run(outcomes, {row["generation_id"]: row for row in rows}, dict(market.lab.completed))


async def _all(drive: Drive, cases: Sequence[Case], at_once: int, tell: Callable[[str], None]) -> list[CaseOutcome]:
    headers = {"authorization": f"Bearer {drive.market.key}"}
    # A connection per request, so that the kernel spreads them over all workers.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    places = asyncio.Semaphore(at_once)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def one(case: Case) -> CaseOutcome:
            async with places:
                outcome = await drive.case(Client(session, drive.market.url, case, drive.rate), case)
                tell(f"{case.fault.name}, {'stream' if case.stream else 'non-streamed'}")
                return outcome

        return list(await asyncio.gather(*map(one, cases)))
