"""A month of outages in simulated time: each provider's uptime, and that of the router in front of them.

``python -m benchmarks.uptime --write`` draws docs/images/uptime.png and writes the table of docs/uptime.md.
The decisions are the router's own: its planner, its health windows and its breaker, on a simulated clock.

Sources. How long outages last: medians and 90th percentiles in minutes, of status pages of three providers and
of the ICPE 2025 study of two (see OUTAGES). Errors outside of outages: median 0.9 % of the endpoints of the orcap
measurement. How often outages come is authored: four a month.
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path
from typing import NamedTuple

import altair as alt

from benchmarks.tables import write_between
from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint
from data.lake import Lake
from data.record.attempt import AttemptOutcome
from router_service.core.preferences import NO_PREFERENCES
from router_service.health import Health
from router_service.planning.eligibility import RequestProfile
from router_service.planning.model_variants import RequestedModel
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore

DOCS = Path(__file__).parents[1] / "docs"
MODEL = "openai/gpt-oss-120b"
# provider's process → median and 90th percentile of an outage, minutes
OUTAGES = {
    "as Anthropic's status page": (57, 145),
    "as OpenAI's status page": (100, 687),
    "as Groq's status page": (91, 150),
    "as OpenAI in ICPE 2025": (70, 305),
    "as Anthropic in ICPE 2025": (27, 251),
}
ERROR_RATE = 0.009
OUTAGES_A_MONTH = 4
MONTH_S = 30 * 86_400
# One request each ten seconds: a small installation, which learns of an outage late.
BETWEEN_REQUESTS_S = 10.0
# Of a normal distribution, at its 90th percentile.
Z90 = 1.2816


class UptimeResult(NamedTuple):
    """Shares of requests that were answered."""

    providers: dict[str, float]
    first: float
    fallback: float


def outages(dice: random.Random, median_min: float, p90_min: float) -> list[tuple[float, float]]:
    """Begin and end, seconds: a Poisson process of log-normal lengths."""
    sigma = math.log(p90_min / median_min) / Z90
    found, now = [], 0.0
    while (now := now + dice.expovariate(OUTAGES_A_MONTH / MONTH_S)) < MONTH_S:
        length = 60 * dice.lognormvariate(math.log(median_min), sigma)
        found.append((now, now + length))
        now += length
    return found


def month(seed: int, folder: Path) -> UptimeResult:
    """One month."""
    dice = random.Random(seed)
    clock = [1.0]
    catalogue = load_catalogue()
    endpoints: tuple[Endpoint, ...] = tuple(e for e in catalogue.endpoints[MODEL] if e.enabled)[: len(OUTAGES)]
    health = Health(clock=lambda: clock[0])
    planner = Planner(catalogue, {MODEL: endpoints}, health, PolicyStore(Lake(folder)), 0.0, clock=lambda: clock[0])
    down = {e.id: outages(dice, *process) for e, process in zip(endpoints, OUTAGES.values(), strict=True)}
    good = dict.fromkeys(down, 0)
    first = fallback = total = 0
    ask, wanted = RequestProfile(200, None, (), False, False, 0), (RequestedModel(MODEL, MODEL),)
    while (now := clock[0]) < MONTH_S:
        total += 1
        works = {
            name: not any(begin <= now < end for begin, end in periods) and dice.random() >= ERROR_RATE
            for name, periods in down.items()
        }
        for name in good:
            good[name] += works[name]
        for number, endpoint in enumerate(planner.plan(wanted, NO_PREFERENCES, ask).sample(dice.random()).order()):
            if not health.try_acquire(endpoint.id):
                continue
            health.report(outcome(endpoint, works[endpoint.id]))
            if works[endpoint.id]:
                first += number == 0
                fallback += 1
                break
        clock[0] += dice.expovariate(1 / BETWEEN_REQUESTS_S)
    return UptimeResult(
        {name: good[e.id] / total for e, name in zip(endpoints, OUTAGES, strict=True)}, first / total, fallback / total
    )


def outcome(endpoint: Endpoint, works: bool) -> AttemptOutcome:
    """Return a stream with a TTFT of half a second, or a failure."""
    return AttemptOutcome(
        endpoint=endpoint.id,
        provider=endpoint.provider,
        model=endpoint.model,
        ended="answered" if works else "failed",
        stream=True,
        began_s=0.0,
        ended_s=0.0,
        ttft_us=500_000 if works else None,
        error_type=None if works else "provider_unavailable",
    )


def rows(results: list[UptimeResult]) -> list[dict[str, object]]:
    """Name and mean share over the months, lowest first; Portolan's last."""
    count = len(results)
    found = {name: sum(r.providers[name] for r in results) / count for name in OUTAGES}
    best = sum(max(r.providers.values()) for r in results) / count
    ordered = sorted(found.items(), key=lambda item: item[1])
    more = [
        ("the best single provider of each month", best),
        ("Portolan, first attempt alone", sum(r.first for r in results) / count),
        ("Portolan, with fallback", sum(r.fallback for r in results) / count),
    ]
    return [
        {"name": name, "uptime": share, "who": "Portolan" if name.startswith("Portolan") else "a provider"}
        for name, share in [*ordered, *more]
    ]


def draw(found: list[dict[str, object]], path: Path) -> None:
    """Unavailability on a logarithmic scale: uptimes of three nines look alike otherwise."""
    data = alt.Data(values=[row | {"down": max(1e-6, 1 - float(str(row["uptime"])))} for row in found])
    order = [row["name"] for row in found]
    scale = alt.Scale(domain=["a provider", "Portolan"], range=["#c1532b", "#1f4e79"])
    chart = alt.Chart(data, title="Requests that failed in a simulated month", width=520, height=230)
    bars = chart.mark_circle(size=140).encode(
        x=alt.X(
            "down:Q", scale=alt.Scale(type="log"), title="share of requests, logarithmic", axis=alt.Axis(format="%")
        ),
        y=alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=300)),
        color=alt.Color("who:N", scale=scale, title=None),
    )
    bars.save(str(path), scale_factor=2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put image and table into docs")
    options = parser.parse_args()
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Lake(folder).create()
        found = rows([month(seed, Path(folder)) for seed in range(options.months)])
    table = "\n".join(["| who | uptime |", "|---|---|", *(f"| {r['name']} | {r['uptime']:.4%} |" for r in found)])
    print(table)
    if options.write:
        draw(found, DOCS / "images" / "uptime.png")
        write_between(DOCS / "uptime.md", "<!-- table", table)
