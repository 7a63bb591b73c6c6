"""Compares selection policies and writes ``docs/routing-results.md``.

    make bench-routing DATASETS=folder
    python -m benchmarks.routing --datasets DATASETS [--parts panel rows calm ...]

DATASETS holds ``thefastest_ai/`` and ``llmperf/``: all ``*.csv`` in them are read, so that the same judgement can be
made of other regions, days and models. They are not part of the project: what needs them is skipped, and the report
says so, where the folder is not given. Parts that are not asked for are taken from the last run, which is kept in
``data/var/routing``. The part ``million`` runs that many decisions by themselves, ``elsewhere`` markets unlike the
measured one, ``worths`` the policy with other worths of a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.policies.live import LivePolicy
from benchmarks.routing import aims, datasets, elsewhere, market, panel, report, rows, worths
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.scenarios import load_scenario, scenario_names
from models.selection.simulation.simulate import simulate
from models.selection.simulation.simulated_policy import SimulatedPolicy

TARGET, KEPT = Path("docs/routing-results.md"), Path("data/var/routing")
REPLAYS, MILLION, ELSEWHERE, WORTHS = ("panel", "rows"), "million", "elsewhere", "worths"


def main() -> None:
    parts = [*REPLAYS, MILLION, ELSEWHERE, WORTHS, *scenario_names()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing")
    parser.add_argument("--datasets", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    for name, folder, replay in (("panel", panel.FOLDER, panel_part), ("rows", rows.FOLDER, rows_part)):
        if name in options.parts:
            there = options.datasets is not None and datasets.files(options.datasets / folder)
            keep(name, replay(options.datasets) if there else report.SKIPPED.format(part=name.capitalize()))
    if MILLION in options.parts:
        keep(MILLION, million(options.jobs))
    scenarios = [name for name in scenario_names() if name in options.parts]
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, results in zip(scenarios, pool.map(market.table, scenarios), strict=True):
            keep(f"{name}.aims", aims.market_row(name.replace("_", " "), results))
            keep(name, report.market_section(name, results))
        if ELSEWHERE in options.parts:
            made = zip(elsewhere.MARKETS.items(), pool.map(elsewhere.table, elsewhere.MARKETS), strict=True)
            lines = [aims.market_row(f"{name} | {other.about}", results) for (name, other), results in made]
            keep(ELSEWHERE, report.elsewhere_head() + "".join(lines))
        if WORTHS in options.parts:
            keep(WORTHS, report.worths_head() + "".join(pool.map(worths.lines, worths.SCENARIOS)))
    text = report.head("make bench-routing DATASETS=…")
    text += "".join(kept(name) for name in REPLAYS) + report.market_head() + kept(MILLION)
    text += aims.MARKET + "".join(kept(f"{name}.aims") for name in scenario_names()) + kept(ELSEWHERE) + kept(WORTHS)
    text += "".join(kept(name) for name in scenario_names())
    TARGET.write_text(text)
    print(f"wrote {TARGET}")


def keep(part: str, text: str) -> None:
    (KEPT / f"{part}.md").write_text(text)
    print(part, flush=True)


def kept(part: str) -> str:
    path = KEPT / f"{part}.md"
    return path.read_text() if path.exists() else f"\n{part}: not run.\n"


def panel_part(folder: Path) -> str:
    rounds = panel.load(folder)
    later = float(np.median([one.at_s for one in rounds]))
    halves = [("All rounds", panel.table(rounds)), ("Second half in time", panel.table(rounds, later))]
    return report.panel_section(rounds, halves)


def rows_part(folder: Path) -> str:
    return report.ROWS.format(steps=rows.STEPS, seeds=len(rows.SEEDS)) + "".join(
        report.rows_section(model, {t: rows.table(losses, t == "Drifting") for t in ("Stationary", "Drifting")})
        for model, losses in rows.load(folder).items()
    )


def million(jobs: int) -> str:
    """Return the time of the given number of decisions, by the rules and by the learned policy."""
    text = "\n"
    with ProcessPoolExecutor(jobs) as pool:
        for name, make in (
            ("1/price² + health", partial(InverseSquarePrice, healthy=True)),
            (LivePolicy().name, LivePolicy),
        ):
            began = time.monotonic()
            list(pool.map(partial(decide, make, 1_000_000 // jobs), range(1, jobs + 1)))
            text += f"1,000,000 decisions of *{name}*, in {jobs} markets at once, a core each: "
            text += f"{time.monotonic() - began:.0f} s.\n"
    return text


def decide(make: Callable[[], SimulatedPolicy], decisions: int, seed: int) -> None:
    simulate(load_scenario("calm"), make(), seed=seed, decisions=decisions)


if __name__ == "__main__":
    main()
