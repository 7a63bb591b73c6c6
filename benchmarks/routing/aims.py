"""Compare results with their targets: a verdict for each replay and each simulated scenario."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from benchmarks.policies.baselines import Ewma
from benchmarks.policies.live import LivePolicy
from benchmarks.routing import market, panel, rows
from models.selection.evaluation.intervals import Interval
from models.selection.evaluation.simulation_metrics import SimulationSummary

OURS, ORACLE, EWMA, HEALTHY = LivePolicy().name, "dynamic oracle", "EWMA α=0.3", "1/price² + health"
RIVALS = ("latency average of ten", "adjusted-price shares")
# Aims: less regret than the EWMA's; loss against the best of each 200 requests; and against price shares with health.
LESS_REGRET, NEAR_BEST = 0.2, {"Stationary": 1.10, "Drifting": 1.25}
LESS_TIME, LESS_FAILURES, EXPLORING = 0.30, 1 / 3, 0.02
POWER = 0.8
COLUMNS = (
    "time to 500",
    "price",
    "first failures",
    "exploring",
    "ahead of latency average",
    "ahead of adjusted shares",
    "missed",
)
_HEADER = " | ".join(COLUMNS)
_LINE = "|---" * len(COLUMNS)
MARKET = f"""
### Aims (simulation)

Against *1/price² + health*: time to 500 tokens at least 30 % lower at no higher price, first attempts failing at most a
third as often; exploring under 2 % of the utility; not worse than the latency average of ten and the adjusted-price
shares. In brackets what the oracle, which knows every endpoint's state, makes of it. *Missed* names what fell short.

| scenario | {_HEADER} |
|---{_LINE}|
"""
ELSEWHERE = f"""
### Other markets (simulation)

The same aims where the market is not the one that was measured: *{{scenario}}*, {{decisions}} requests for each of
seeds {{seeds}}. The policy believes beforehand what is true of the measured one. In brackets the
oracle, which decides request by request: what it cannot have, as time where endpoints hardly differ or price decides,
nobody can. Where capacity is scarce the router does more than is simulated here: its health learns from 429s how many
requests a minute an endpoint takes.

| market | what is other | {_HEADER} |
|---|---{_LINE}|
"""

WORTHS = """
### What a second is worth (simulation)

What `PORTOLAN_USD_PER_SECOND` buys against *1/price² + health*, a failure worth {seconds:g} seconds; {decisions}
requests for each of seeds {first} to {last}. The usual {usual:g} USD was chosen on these, to be at no higher price in
most markets that can be drawn: 0.00016, as before, was a little quicker, and dearer in more of them. The oracle takes a
second for {usual:g} USD.

| scenario | USD a second | time to 500 | price | first failures |
|---|---|---|---|---|
"""


def panel_aims(results: Sequence[panel.PanelResult]) -> str:
    """Regret against the EWMA's, with the difference that the rounds could have shown."""
    found = {result.policy: result for result in results}
    regret = found[EWMA].mean.value - found[ORACLE].mean.value
    ahead = found[EWMA].ahead
    assert ahead is not None
    wanted = LESS_REGRET * regret
    normal = NormalDist()
    error = (ahead.high - ahead.low) / (2 * normal.inv_cdf(0.975))
    shown = (normal.inv_cdf(0.975) + normal.inv_cdf(POWER)) * error
    power = normal.cdf(wanted / error - normal.inv_cdf(0.975))
    met = ahead.value >= wanted and ahead.low > 0
    oracle = found[ORACLE].mean.value
    pasts, futures = (
        [1.0 - (found[name(alpha)].mean.value - oracle) / regret for alpha in panel.ALPHAS]
        for name in (lambda alpha: Ewma(alpha).name, panel.both_sides)
    )
    return (
        f"\nAim: at least {LESS_REGRET:.0%} less regret than the EWMA's {regret:.3f} s, which is {wanted:.4f} s, with "
        f"an interval that excludes zero. Found {ahead.value:+.4f} s [{ahead.low:+.4f}, {ahead.high:+.4f}], "
        f"{ahead.value / regret:+.0%}: {'met' if met else 'missed'}. These rounds show a difference of {shown:.4f} s "
        f"with {POWER:.0%} power, and one of the size aimed at with {power:.0%}. The best weight of an EWMA, chosen in "
        f"hindsight, has {max(pasts):.0%} less regret; averages that see the rounds after each as well as those before "
        f"have {min(futures):.0%} to {max(futures):.0%} less.\n"
    )


def rows_aims(title: str, results: Sequence[rows.RowsResult]) -> str:
    """Loss against the best endpoint of each 200 requests."""
    found = {result.policy: result.loss for result in results}
    best = found[f"best per {rows.WINDOW} requests"].value
    ratio, aim = found[OURS].value / best, NEAR_BEST[title]
    return (
        f"\nAim: at most {aim:.2f} times the best of each {rows.WINDOW} requests. Found {ratio:.2f} "
        f"[{found[OURS].low / best:.2f}, {found[OURS].high / best:.2f}]: {'met' if ratio <= aim else 'missed'}.\n"
    )


def market_row(name: str, results: Sequence[market.MarketResult]) -> str:
    """One line of a table of aims; ``name`` is what stands in front."""
    found = {result.policy: result for result in results}
    ours, healthy, oracle = (found[policy].summary for policy in (OURS, HEALTHY, ORACLE))
    exploring = ours.exploring_usd / -ours.utility_usd.value
    rivals = [_ahead(found[rival].ahead) for rival in RIVALS]
    (time, price, failures), could = against(ours, healthy), against(oracle, healthy)
    missed = [
        label
        for label, bad in (
            ("time", time > -LESS_TIME),
            ("price", price > 0),
            ("first failures", failures > LESS_FAILURES),
            ("exploring", exploring >= EXPLORING),
            *((rival, interval.value < 0) for rival, interval in zip(RIVALS, rivals, strict=True)),
        )
        if bad
    ]
    return (
        f"| {name} | {time:+.0%} ({could[0]:+.0%}) | {price:+.0%} ({could[1]:+.0%}) | {failures:.2f} ({could[2]:.2f}) "
        f"| {exploring:.1%} "
        + "".join(f"| {i.value * 1e3:.3f} [{i.low * 1e3:.3f}, {i.high * 1e3:.3f}] " for i in rivals)
        + f"| {', '.join(missed) or 'none'} |\n"
    )


def against(policy: SimulationSummary, healthy: SimulationSummary) -> tuple[float, float, float]:
    """Time to 500 tokens and price as shares more than ``healthy`` has, first failures as a multiple."""
    return (
        policy.time_to_500_s / healthy.time_to_500_s - 1,
        policy.price_usd / healthy.price_usd - 1,
        policy.first_failed.value / healthy.first_failed.value,
    )


def _ahead(interval: Interval | None) -> Interval:
    assert interval is not None
    return interval
