"""`python -m benchmarks.exploration [--write]`: how much chance a log needs so that a challenger can be judged from it.

Simulation. The log is served by a mixture of price shares and of Portolan live with a floor; the challenger is a live
policy without optimism, so one that agrees with it mostly and differs where it is uncertain. Both see all outcomes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.policies.live import LivePolicy
from models.selection.decision.arrays import Floats
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.utility import DecisionConstants
from models.selection.evaluation.ttft import effective_samples
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.scenarios import load_scenario, scenario_names
from models.selection.simulation.simulate import simulate
from models.selection.simulation.simulated_policy import SimulatedPolicy, SimulationState

PAGE = Path(__file__).parents[1] / "docs" / "selection.md"
MARKER = "<!-- table: python -m benchmarks.exploration --write -->\n"
END = "<!-- end -->"
DECISIONS, SEEDS, ENOUGH = 6000, (11, 12), 200
FLOORS, SHARES = (0.01, 0.02, 0.05), (0.0, 0.1, 0.2, 0.5)


class Mixture:
    """Price shares for ``share`` of the requests, live for the rest; keeps what it and the challenger would do."""

    name = "mixture"

    def __init__(self, share: float, floor: float) -> None:
        self._share = share
        self._price: SimulatedPolicy = InverseSquarePrice(healthy=True)
        self._live: SimulatedPolicy = LivePolicy(DecisionConstants(floor=floor))
        self._challenger: SimulatedPolicy = LivePolicy(DecisionConstants(floor=floor, optimism=0.0))
        self.logged: list[dict[str, tuple[float, float]]] = []

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        price, live, target = (
            policy.choose(context, candidates, state) for policy in (self._price, self._live, self._challenger)
        )
        mixed = [self._share * p + (1 - self._share) * q for p, q in zip(price, live, strict=True)]
        self.logged.append(
            {c.endpoint: pair for c, pair in zip(candidates, zip(mixed, target, strict=True), strict=True)}
        )
        return mixed

    def observe(self, outcome: AttemptObservation) -> None:
        for policy in (self._price, self._live, self._challenger):
            policy.observe(outcome)


def measure(scenario: str, seed: int, share: float, floor: float) -> tuple[float, float]:
    """Effective samples of the challenger in ``DECISIONS``, and the log's mean utility in USD."""
    policy = Mixture(share, floor)
    run = simulate(load_scenario(scenario), policy, seed=seed, decisions=DECISIONS)
    weight: Floats = np.empty(DECISIONS)
    for number, (chances, place) in enumerate(zip(policy.logged, run.column("first"), strict=True)):
        logged, target = chances[run.market[int(place)].name]
        weight[number] = target / logged
    return effective_samples(weight), float(run.column("utility_usd").mean())


def table() -> str:
    """Markdown: over all scenarios and seeds the least and the median, and in how many runs they suffice."""
    lines = [
        f"| price arm | floor | ESS in {DECISIONS:,}, least | median | runs with {ENOUGH} | cost, USD per 1,000 |",
        "|---|---|---|---|---|---|",
    ]
    base = None
    for share in SHARES:
        for floor in FLOORS:
            found = [measure(name, seed, share, floor) for name in scenario_names() for seed in SEEDS]
            samples, utility = (np.array(column) for column in zip(*found, strict=True))
            base = float(utility.mean()) if base is None else base
            enough = f"{int((samples >= ENOUGH).sum())} of {len(samples)}"
            cells = (f"{share:.0%}", f"{floor:.0%}", f"{samples.min():.0f}", f"{np.median(samples):.0f}", enough)
            lines.append(f"| {' | '.join(cells)} | {(base - float(utility.mean())) * 1000:.3f} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/selection.md")
    options = parser.parse_args()
    text = table()
    if options.write:
        before, _, rest = PAGE.read_text().partition(MARKER)
        PAGE.write_text(f"{before}{MARKER}\n{text}\n\n{rest[rest.index(END) :]}")


if __name__ == "__main__":
    main()
