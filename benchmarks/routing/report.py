"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.routing import aims, elsewhere, market, panel, rows, worths
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND
from models.selection.evaluation.intervals import Interval
from models.selection.simulation.scenarios import load_scenario
from models.selection.simulation.simulate import LABEL
from models.selection.simulation.simulated_policy import SECONDS_PER_FAILURE

HEAD = """# Selection policies compared

Written by `{command}`, all seeds fixed.

Intervals are 95 %, by block bootstrap; a difference is paired, on the same rounds, draws or requests, and positive
where *Portolan live* is better. That is the decision that a router serves (`posterior.py` and `utility.py` in
`models/selection/decision/`), without a trained prior: it begins with what is known of any market (`live.py` in
`benchmarks/policies/`). Baselines are in `baselines.py` and `bandits.py` of the same folder.

The constants of *Portolan live* were chosen on LLMPerf's rows of one model and on seeds 101 to 106 and 11 to 14 of the
simulator, what a second and a failure are worth on seeds {worths}. They are judged here on the panel, on rows of
other models, on new draws of that one's, and on seeds {seeds}, which no choice was made on.
Earlier constants were judged on seeds 21 to 24, which showed a defect, since mended: a long answer that ended after a
429 took that back; and once on those of this page, where time in the capacity squeeze was 29 % lower, before spells of
429s were taken to be shorter (found on the seeds for choosing), and again when a second was worth 0.00016 USD, with
which every aim was met there. No constant was fitted to the panel, but it did show two defects, since mended: optimism
was cut off at the price, so that all fast endpoints looked alike, and the floor was spread over slow endpoints as over
quick ones.
"""
SKIPPED = "\n## {part}\n\nSkipped: its data set was not given.\n"
PANEL = """
## Panel: every provider measured in every round

thefastest.ai (MIT), {since} to {until}, regions {regions}, {rounds} rounds of a model in a region, {models} models.
TTFT in seconds; policies see each round whole, so this judges estimates and not exploration. The reference figures
(random 0.565, EWMA 0.244, oracle 0.179) are of three regions and 19 days. It holds no prices, so that rules of price
have nothing to go by.
"""
ROWS = """
## Rows: only the called provider answers

LLMPerf (Apache-2.0), December 2023: real single requests drawn with replacement, {steps} steps, {seeds} seeds, TTFT in
seconds, an error counts 10 s, as every policy is told. Drifting: the best provider has four times its TTFT and 50 %
errors in two fifths of the time. Known of llama-2-70b: best fixed 0.228, UCB1 0.253, ε-greedy 0.328, P2C 0.706, random
2.137. There are no prices.
"""
MARKET = """
## Simulated market

**This is {label}.** {decisions} requests for each of seeds {seeds}; 3 models of 7 endpoints; up to three attempts.
Utility is -(price + {second:g} USD × seconds to the last token + {failure:g} USD × failed attempts and malformed tool
calls).
*Exploring*: expected utility given up against the policy's own most probable choice. *Leave*, *find*: requests of the
model until a struck endpoint has lost half of its share, and until one that is (again) best has half of the share in
which it is best; `>` where some never did, as the oracle does not where the struck one stays the best. Only requests
with tools have reason to leave an endpoint whose tool calls rot. The policy's beliefs before it has seen anything are
moments that the market is drawn from too, which no baseline is told. USD are thousandths, per request.

Checks from outside: of 96 matched probes of a real router in July 2026 (orcap; four models, not randomised) 97.9 %
succeeded with its fallback and 80.2 % when pinned to the cheapest endpoint without one; over 246 endpoints of 30 models
shares by 1/price² met 14.1 % refusals. Their counterparts are, in *Calm*, the answered of *1/price² + health*, the
first attempts of *cheapest* that did not fail, and the failed ones of *1/price²*.
"""


def panel_section(rounds: Sequence[panel.Round], halves: Sequence[tuple[str, Sequence[panel.PanelResult]]]) -> str:
    days = [f"{datetime.fromtimestamp(one.at_s, UTC):%-d %B %Y}" for one in (rounds[0], rounds[-1])]
    text = PANEL.format(
        since=days[0],
        until=days[1],
        regions=", ".join(sorted({one.region for one in rounds})),
        rounds=len(rounds),
        models=len({one.model for one in rounds}),
    )
    for title, results in halves:
        text += f"\n{title}:\n\n| policy | mean | p50 | p95 | p99 | within 20 ms of the best | worse than ours by |\n"
        text += "|---|---|---|---|---|---|---|\n"
        for r in sorted(results, key=lambda r: -r.mean.value):
            text += f"| {r.policy} | {_interval(r.mean)} | {r.p50:.3f} | {r.p95:.3f} | {r.p99:.3f} "
            text += f"| {r.near_oracle:.0%} | {_interval(r.ahead)} |\n"
        text += aims.panel_aims(results)
    return text


def rows_section(model: str, results: Mapping[str, Sequence[rows.RowsResult]]) -> str:
    chosen = "other draws of these rows" if model == rows.CHOSEN_ON else "another model's rows"
    text = f"\n### {model}\n\nConstants were chosen on {chosen}.\n"
    for title, found in results.items():
        text += f"\n{title}:\n\n| policy | mean loss, s | worse than ours by |\n|---|---|---|\n"
        for r in sorted(found, key=lambda r: -r.loss.value):
            text += f"| {r.policy} | {_interval(r.loss)} | {_interval(r.ahead)} |\n"
        text += aims.rows_aims(title, found)
    return text


def market_head() -> str:
    return MARKET.format(
        label=LABEL,
        decisions=f"{market.DECISIONS:,}",
        seeds=_named(market.SEEDS),
        second=USD_PER_SECOND,
        failure=USD_PER_FAILURE,
    )


def elsewhere_head() -> str:
    return aims.ELSEWHERE.format(
        scenario=elsewhere.SCENARIO.capitalize(), decisions=f"{market.DECISIONS:,}", seeds=_named(elsewhere.SEEDS)
    )


def worths_head() -> str:
    return aims.WORTHS.format(
        seconds=SECONDS_PER_FAILURE,
        decisions=f"{worths.DECISIONS:,}",
        first=worths.SEEDS[0],
        last=worths.SEEDS[-1],
        usual=USD_PER_SECOND,
    )


def market_section(name: str, results: Sequence[market.MarketResult]) -> str:
    text = f"\n### {name.replace('_', ' ').capitalize()} (simulation)\n\n{load_scenario(name).about}\n\n"
    text += "| policy | utility | worse than ours by | to 500 tokens, s | TTFT mean, p50, p95, p99, s | first failed "
    text += "| unanswered | price | exploring | regret | leave | find |\n" + "|---" * 12 + "|\n"
    for r in sorted(results, key=lambda r: r.summary.utility_usd.value):
        s = r.summary
        text += f"| {r.policy} | {_interval(s.utility_usd, 1e3)} | {_interval(r.ahead, 1e3)} | {s.time_to_500_s:.2f} "
        text += f"| {s.ttft_mean_s:.2f}, {s.ttft_p50_s:.2f}, {s.ttft_p95_s:.2f}, {s.ttft_p99_s:.2f} "
        text += f"| {s.first_failed.value:.1%} | {s.unanswered:.2%} | {s.price_usd * 1e3:.2f} "
        text += f"| {s.exploring_usd * 1e3:.2f} | {s.regret_usd * 1e3:.2f} "
        text += f"| {_count(r.adaptation.leave, r.adaptation.leave_censored)} "
        text += f"| {_count(r.adaptation.find, r.adaptation.find_censored)} |\n"
    return text


def head(command: str) -> str:
    chosen = f"{worths.SEEDS[0]} to {worths.SEEDS[-1]}"
    return HEAD.format(command=command, seeds=_named(market.SEEDS), worths=chosen)


def _named(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)


def _interval(interval: Interval | None, scale: float = 1.0) -> str:
    if interval is None:
        return ""
    value, low, high = (figure * scale for figure in interval)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _count(requests: float | None, censored: float) -> str:
    return "" if requests is None else f"{'>' if censored else ''}{requests:.0f}"
