"""Every logged decision can be made again from its record: in the segment and in Parquet."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.catalogue import load_catalogue
from data.explanations.replay import replay
from data.lake import Lake
from data.record.attempt import Attempt
from data.record.encoding import encode_record, record_row
from data.record.lake_reader import open_dataset, request_files
from router_service.affinity.sticky import sticky_plan
from router_service.configuration.market import make_market
from router_service.configuration.read_file import Configuration
from router_service.core.plan import Plan
from router_service.explanations.explain import explain
from router_service.health import Health
from router_service.planning.decide import decisions
from router_service.planning.eligibility import profile_of
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from router_service.settings import Settings
from router_service.telemetry.frames import read_frames
from router_service.telemetry.log import RequestLog
from router_service.telemetry.record import make_record
from router_service.telemetry.sealing import recover
from tests.exchanges import parsed_exchange
from tests.outcomes import answered, failed

PROVIDERS: tuple[dict[str, Any], ...] = (
    {},
    {"sort": "price"},
    {"sort": "throughput"},
    {"sort": {"by": "latency", "partition": "none"}},
    {"order": ["groq", "deepinfra"]},
    {"strategy": "price"},
    {"strategy": "adjusted"},
    {"strategy": "exacto"},
    {"strategy": "learned"},
    {"strategy": "learned", "sort": "latency"},
    {"strategy": "learned", "usd_per_second": 0.01, "usd_per_failure": 0},
    {"ignore": ["groq"], "allow_fallbacks": False},
    {"max_price": {"prompt": 0.3}},
    {"quantizations": ["fp8", "fp4", "unknown"], "preferred_max_latency": 0.5},
)


class Leaning:
    """A learned policy of unequal shares, which no price knows."""

    version = "leaning"

    def weigh(self, ask: object, endpoints: list[object], views: object, weights: object) -> list[float]:
        weights = [1.0 / (2 + 7 * i % 5) for i in range(len(endpoints))]
        return [weight / sum(weights) for weight in weights]


def market(lake: Lake, dice: random.Random, share: float, strategy: str) -> Planner:
    """The real catalogue in front of a lab, measured lately: some endpoints slow, some failing."""
    catalogue = load_catalogue()
    endpoints = make_market(catalogue, Configuration(), Settings(data_dir=lake.root, lab_url="http://lab")).endpoints
    policies = PolicyStore(lake)
    policies.current = Leaning()  # type: ignore[assignment]
    health = Health()
    for offers in endpoints.values():
        for endpoint in offers:
            for _ in range(3):
                if dice.random() < 0.1:
                    health.report(failed(endpoint.id, "timeout"))
                else:
                    health.report(answered(endpoint.id, dice.uniform(0.1, 3), dice.uniform(10, 200)))
    return Planner(catalogue, endpoints, health, policies, share, strategy=strategy, clock=time.monotonic)


def records(planner: Planner, dice: random.Random, count: int) -> Iterator[bytes]:
    """Payloads of the log: the first attempt of each is the one that the decision says."""

    def apply_affinity(plan: Plan) -> Plan:
        return sticky_plan(plan, dice.randrange(len(plan.endpoints))) if dice.random() < 0.1 else plan

    models = [name for name, offers in planner.endpoints.items() if len(offers) > 1]
    made = 0
    while made < count:
        names = dice.sample(models, dice.choice((1, 1, 1, 2)))
        provider = dice.choice(PROVIDERS)
        tools = {"tools": [{"type": "function"}]} if dice.random() < 0.3 else {}
        body = {"models": names, "messages": [{"role": "user"}], "provider": provider, **tools}
        exchange = parsed_exchange(msgspec.json.encode(body))
        head = exchange.request.head
        assert head is not None
        ask = profile_of(head, dice.choice((100, 4000, 90_000)), 12)
        preferences = planner.preferences(head.provider)
        found = decisions(planner, names, preferences, ask, dice.random, apply_affinity=apply_affinity)
        # Nothing may be left of a model under these preferences.
        decision = exchange.route.step.decision = _first(found)
        if decision is None:
            continue
        first = next(decision.order())
        exchange.route.attempts.append(Attempt(first.id, first.provider, first.model))
        made += 1
        yield encode_record(make_record(exchange, "w", 1))


def _first(found: Any) -> Any:
    from router_service.core.errors import ApiError

    try:
        return next(found)
    except ApiError:
        return None


def log_and_replay(root: Path, count: int) -> Counter[str]:
    """Policies of ``count`` decisions, each of which agreed in the segment and in Parquet."""
    dice = random.Random(3)
    lake = Lake(root).create()
    log = RequestLog(lake, "w", sync="never", when_full="wait")
    for share, strategy in ((0.5, "learned"), (0.9, "learned"), (0.0, "price"), (0.3, "exacto")):
        planner = market(lake, dice, share, strategy)
        for payload in records(planner, dice, count // 4):
            while not log.append(payload):
                time.sleep(0.01)
    log.flush(20)
    segments = [read_frames(path.read_bytes()).payloads for path in lake.log.iterdir()]
    logged = [record_row(payload) for payloads in segments for payload in payloads]
    log.close()
    recover(lake)
    sealed = open_dataset(request_files(lake)).to_table().to_pylist()
    assert (len(logged), len(sealed)) == (count, count)
    wrong = [found for row in (*logged, *sealed) if (found := replay(row)).agrees is not True]
    assert wrong == []
    assert all("was asked for" in explain(row, {})["summary"] for row in logged)
    return Counter(row["policy"] for row in sealed)


def test_a_thousand_logged_decisions_are_made_again(tmp_path: Path) -> None:
    policies = log_and_replay(tmp_path, 1200)
    assert set(policies) == {"price", "adjusted", "exacto", "learned", "wished", "sort", "order", "sticky"}


@pytest.mark.slow
def test_ten_thousand_logged_decisions_are_made_again(tmp_path: Path) -> None:
    assert log_and_replay(tmp_path, 10_000).total() == 10_000


@pytest.fixture
def row(tmp_path: Path) -> dict[str, Any]:
    """One record of a mixture of arms, of which several may be drawn."""
    dice = random.Random(4)
    planner = market(Lake(tmp_path).create(), dice, 0.5, "learned")
    rows = (record_row(payload) for payload in records(planner, dice, 200))
    return next(r for r in rows if len(r["arms"]) == 2 and sum(c["probability"] > 0.05 for c in r["candidates"]) > 3)


def test_a_record_that_was_changed_is_found_out(row: dict[str, Any]) -> None:
    assert replay(row).agrees
    low, high = min(row["draw"], 0.4), max(row["draw"], 0.6)
    assert replay(row | {"draw": low / 2 if row["draw"] > 0.5 else (1 + high) / 2}).agrees is False
    other = next(c["endpoint"] for c in row["candidates"] if c["endpoint"] != row["attempts"][0]["endpoint"])
    assert replay(row | {"attempts": [row["attempts"][0] | {"endpoint": other}]}).agrees is False
    assert replay(row | {"propensity": row["propensity"] / 2}).agrees is False


def test_a_record_that_holds_too_little_is_not_judged(row: dict[str, Any]) -> None:
    assert replay(row | {"arms": None}).agrees is None
    assert replay(row | {"attempts": []}).agrees is None
    assert replay(row | {"draw": None}).endpoint is None


def test_an_attempt_that_something_else_put_first_says_so(row: dict[str, Any]) -> None:
    first = row["attempts"][0] | {"endpoint": "other:x", "reason": "fallback:probed"}
    found = replay(row | {"attempts": [first]})
    assert found.agrees
    assert "other:x was tried first (fallback:probed)" in found.sentence
