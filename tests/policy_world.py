"""A world behind the router's own decision: requests are planned as served, and their records logged and sealed."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from data.lake import Lake
from data.record.attempt import Attempt
from data.record.record import Record
from router_service.core.preferences import NO_PREFERENCES
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.policy_store import PolicyStore
from router_service.telemetry.record import describe_decision
from tests.market import endpoint, state
from tests.pipelines.test_marts import START_US, fill

# Median TTFT in seconds and failure rate.
QUALITY = {"fast": (0.3, 0.01), "slow": (3.0, 0.2), "new": (0.1, 0.01)}
SPACING_US = 3_000_000
LEARNED_SHARE = 0.5


class World:
    """Streams take half the time, so that there is more to learn than levels."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.names = ["fast", "slow"]
        self._served = 0
        self._dice = random.Random(4)
        self._store = PolicyStore(lake)

    def copied(self, folder: Path) -> World:
        """Return a copy in ``folder``, for one test to change."""
        shutil.copytree(self.lake.root, folder)
        copy = World(Lake(folder))
        copy._served = self._served
        return copy

    def serve(self, count: int) -> None:
        """``count`` requests under whoever serves now, sealed."""
        self._store.poll()
        offers = [endpoint(name, id=f"{name}:m") for name in self.names]
        now = state(learned=self._store.current, learned_share=LEARNED_SHARE, strategy="learned")
        plans = {
            (stream, hour): make_plan(
                "a/m", offers, NO_PREFERENCES, RequestProfile(334, 100, (), stream, False, hour), now
            )
            for stream in (True, False)
            for hour in range(24)
        }
        rows = []
        for _ in range(count):
            moment = START_US + self._served * SPACING_US
            stream = self._dice.random() < 0.5
            hour = moment // 3_600_000_000 % 24
            rows.append(self._record(moment, stream, plans[stream, hour].sample(self._dice.random())))
            self._served += 1
        fill(self.lake, rows)

    def _record(self, moment: int, stream: bool, decision: object) -> Record:
        record = Record(f"gen-{moment // 1_000_000}-{self._served}", moment, "w", "a/m", stream, 200, 10)
        describe_decision(record, decision)  # type: ignore[arg-type]
        record.model, record.estimated_prompt_tokens, record.max_tokens, record.cost_nano = "a/m", 300, 100, 400_000
        spent_us = 0
        for offer in decision.order():  # type: ignore[attr-defined]
            ttft_us, failed = self._answer(offer.provider, stream)
            error = "timeout" if failed else None
            attempt = Attempt(offer.id, offer.provider, "a/m", error_type=error, duration_us=ttft_us)
            record.attempts = [*record.attempts, attempt]
            spent_us += ttft_us
            if not failed:
                attempt.ttft_us, record.ttft_us = ttft_us, spent_us
                record.endpoint, record.provider = offer.id, offer.provider
                break
        else:
            record.error_type, record.status = "timeout", 504
        return record

    def _answer(self, name: str, stream: bool) -> tuple[int, bool]:
        median_s, failure = QUALITY[name]
        ttft_s = median_s * self._dice.lognormvariate(0, 0.2) * (0.5 if stream else 1.0)
        return int(ttft_s * 1e6), self._dice.random() < failure
