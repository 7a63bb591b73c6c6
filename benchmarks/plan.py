"""Measure the cost of a decision: a new plan for 36 candidates by each strategy, and a draw from a cached plan.

``python -m benchmarks.plan``. Prints percentiles in microseconds; asserts nothing. The fifth is
what it costs when nothing else wants the processor.
"""

from __future__ import annotations

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from data.catalogue.types import Catalogue, Endpoint, Price
from data.lake import Lake
from router_service.core.preferences import NO_PREFERENCES, Percentiles, Preferences
from router_service.health import Health
from router_service.planning.decide import decisions
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.market_state import EndpointMeasurement, MarketState
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore

CANDIDATES = 36
ROUNDS = 3000
MODEL = "author/model"
ASK = RequestProfile(1220, 500, ("max_tokens", "messages", "model", "stream"), True, False, 12)
TOOLS = ASK._replace(parameters=(*ASK.parameters, "tools"), tools=True)
ALL = Preferences(
    strategy="price",
    quantizations=("fp8",),
    require_parameters=True,
    preferred_max_latency=Percentiles(p50=1.0, p90=2.0),
    ignore=("p3",),
)


def main() -> None:
    """Print the table."""
    endpoints, state = market()
    gc.collect()
    gc.freeze()
    print(f"{'':34}{'p5 µs':>9}{'p50 µs':>9}{'p99 µs':>9}")
    for name, preferences, ask in (
        ("price", Preferences(strategy="price"), ASK),
        ("price, four preferences", ALL, ASK),
        ("exacto, with tools", Preferences(strategy="exacto"), TOOLS),
        ("adjusted", Preferences(strategy="adjusted"), ASK),
        ("adjusted, with tools", Preferences(strategy="adjusted"), TOOLS),
        ("sort: throughput", Preferences(sort="throughput"), ASK),
    ):

        def fresh(preferences: Preferences = preferences, ask: RequestProfile = ask) -> None:
            make_plan(MODEL, endpoints, preferences, ask, state)

        report(f"fresh plan, {name}", fresh)
    cached(endpoints)


def cached(endpoints: tuple[Endpoint, ...]) -> None:
    """A decision as a request gets it: preferences by their bytes, plan by its key, one draw."""
    catalogue = Catalogue("v", {MODEL: None}, {}, {MODEL: endpoints}, {})  # type: ignore[dict-item]
    with tempfile.TemporaryDirectory() as folder:
        planner = Planner(
            catalogue, {MODEL: endpoints}, Health(), PolicyStore(Lake(Path(folder))), 0.0, clock=time.monotonic
        )
        raw = b'{"sort": null, "quantizations": ["fp8", "bf16", "unknown"]}'
        draw = random.Random(1).random
        plan = make_plan(MODEL, endpoints, NO_PREFERENCES, ASK, MarketState("v", 0, frozenset()))
        report("sample of a plan", lambda: plan.sample(draw()))
        report(
            "whole decision, cached",
            lambda: next(decisions(planner, [MODEL], planner.preferences(raw), ASK, draw)),
        )


def market() -> tuple[tuple[Endpoint, ...], MarketState]:
    """36 measured endpoints of one model, two of them in an outage."""
    dice = random.Random(7)
    endpoints = tuple(
        Endpoint(
            id=f"p{i}:model",
            tag=f"p{i}",
            provider=f"p{i}",
            provider_name=f"P{i}",
            model=MODEL,
            upstream_model="model",
            wire_format="openai_chat",
            base_url="http://x",
            key_env=(),
            price=Price(dice.randint(100, 900) * 10**6, dice.randint(300, 2000) * 10**6, 50 * 10**6),
            context_length=131072,
            max_completion_tokens=8192,
            quantization=dice.choice(("fp8", "bf16")),
            supported_parameters=frozenset({"max_tokens", "tools", "temperature"}),
        )
        for i in range(CANDIDATES)
    )
    measures = {e.id: measured(dice) for e in endpoints}
    return endpoints, MarketState("v", 1, frozenset({"p4:model", "p9:model"}), measures=measures)


def measured(dice: random.Random) -> EndpointMeasurement:
    """A plausible half hour."""
    ttft, speed, requests = dice.uniform(0.2, 2), dice.uniform(20, 200), dice.randint(50, 5000)
    latency = Percentiles(ttft, 1.3 * ttft, 2 * ttft, 4 * ttft)
    throughput = Percentiles(speed, 0.8 * speed, 0.6 * speed, 0.3 * speed)
    tools = requests // 3
    return EndpointMeasurement(
        latency, throughput, requests, requests // 100, requests // 50, 2.0, tools, tools // 40,
        1000 * requests, 400 * requests, 300 * requests,
    )  # fmt: skip


def report(name: str, call: Callable[[], object]) -> None:
    """Time ``call`` one by one, so that a pause of the machine falls on single rounds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - begun) / 1000)
    at = statistics.quantiles(times, n=100)
    print(f"{name:34}{at[4]:9.1f}{at[49]:9.1f}{at[98]:9.1f}")


if __name__ == "__main__":
    main()
