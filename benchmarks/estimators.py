"""Which estimator wins by how much, on measurements and in simulation: a section of ``docs/selection.md``.

    python -m benchmarks.estimators --datasets DATASETS [--write]

Each log is learned from as the pipelines do it: the last fifth in time is held out, and everything is chosen and
corrected on the time before. DATASETS holds ``thefastest_ai/`` and ``llmperf/``; they are not part of the project,
and their rows say that they were skipped where the folder is not given.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from benchmarks.policies.baselines import Random
from benchmarks.tables import write_between
from data.lake import Lake
from models.selection.dataset.point_in_time import EPOCH, MICROSECOND
from models.selection.dataset.samples import build_samples
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import FORMS, PREDICTED_QUANTITIES
from models.selection.evaluation.predictive import held_out_metrics
from models.selection.simulation.market import parameters
from models.selection.simulation.scenarios import load_scenario
from models.selection.simulation.simulate import simulate
from models.selection.training.export import export
from models.selection.training.learning import learn

PAGE, MARKER = Path("docs/selection.md"), "<!-- benchmarks.estimators"
HELD_OUT, LEAST = 0.2, 100
# Tokens of the simulator's median answer, by which a simulated call's end tells its start.
TYPICAL_TOKENS = 151
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


class Call(NamedTuple):
    """One measured or simulated call; ``error`` as in the record, ``tokens`` of a finished answer."""

    at: datetime
    provider: str
    model: str
    error: str | None
    ttft_s: float | None
    duration_s: float
    tokens: int | None
    region: str | None = None
    prompt_tokens: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators")
    parser.add_argument("--datasets", type=Path)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE}")
    options = parser.parse_args()
    # skl2onnx hands numpy scalars to protobuf, which numpy deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    lines = [HEAD]
    for name, calls in logs(options.datasets):
        lines += table(name, calls)
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_between(PAGE, MARKER, text)


HEAD = (
    "| log | quantity | serves | its loss | level | EWMA | against the EWMA | coverage |\n"
    "|---|---|---|---|---|---|---|---|"
)


def logs(datasets: Path | None) -> Iterator[tuple[str, list[Call] | None]]:
    """A name and its calls in order, ``None`` where the data set is not there."""
    for name, file, read in (
        ("thefastest.ai, measured", "thefastest_ai/panel_cdg_iad.csv", panel),
        ("LLMPerf, measured", "llmperf/requests_7b_13b.csv", requests),
    ):
        path = datasets / file if datasets else None
        yield name, read(path) if path and path.exists() else None
    for scenario in ("calm", "flapping", "regional_degradation"):
        yield f"{scenario}, simulated", simulated(scenario, 8000)


def panel(path: Path) -> list[Call]:
    """Probes of at most 20 tokens, every provider of a model in the same round, from two regions."""
    frame = pl.read_csv(path, try_parse_dates=True).sort("run_time", "region", "provider", "model")
    return [
        Call(
            row["run_time"].replace(tzinfo=UTC),
            row["provider"],
            row["model"],
            None,
            row["ttft"],
            row["total_time"],
            None,
            row["region"],
        )
        for row in frame.iter_rows(named=True)
        if row["ttft"] and row["ttft"] > 0
    ]


def requests(path: Path) -> list[Call]:
    """Single requests in the order of their numbers; when each was sent is not in the file: one a second."""
    frame = pl.read_csv(path, schema_overrides={"error_code": pl.Float64}).sort("seq", "model", "provider")
    found = []
    for place, row in enumerate(frame.iter_rows(named=True)):
        code = row["error_code"]
        error = None if not code else "rate_limit_exceeded" if code == 429 else "server_error"
        duration_s = row["end_to_end_latency_s"] or 0.5
        tokens = row["number_output_tokens"] if error is None else None
        moment = BEGIN + timedelta(seconds=place)
        ttft_s = row["ttft_s"] if error is None else None
        found.append(
            Call(
                moment,
                row["provider"],
                row["model"],
                error,
                ttft_s,
                duration_s,
                tokens,
                None,
                row["number_input_tokens"],
            )
        )
    return found


class Recorder(Random):
    """Chooses evenly, and keeps what came of it."""

    def __init__(self) -> None:
        self.outcomes: list[AttemptObservation] = []

    def observe(self, outcome: AttemptObservation) -> None:
        self.outcomes.append(outcome)


def simulated(name: str, decisions: int) -> list[Call]:
    """Calls spread evenly over a market's endpoints; a call is taken to have had an answer of median length."""
    recorder = Recorder()
    simulate(load_scenario(name), recorder, seed=11, decisions=decisions)
    authored = parameters()["authored"]
    delays = {"error": authored["error_delay_s"], "rate_limited": authored["rate_limit_delay_s"]}
    errors = {"error": "server_error", "rate_limited": "rate_limit_exceeded", "success": None}
    found = []
    for one in recorder.outcomes:
        answered = one.ttft_s is not None and one.tokens_per_s is not None
        duration_s = one.ttft_s + TYPICAL_TOKENS / one.tokens_per_s if answered else delays[one.result]  # type: ignore[operator]
        at = BEGIN + timedelta(seconds=one.now_s - duration_s)
        model = one.endpoint.partition(":")[2]
        tokens = TYPICAL_TOKENS if answered else None
        found.append(Call(at, one.provider, model, errors[one.result], one.ttft_s, duration_s, tokens))
    return sorted(found, key=lambda call: call.at)


def table(name: str, calls: Sequence[Call] | None) -> list[str]:
    """A row for each quantity that the log shows often enough."""
    if calls is None:
        return [f"| {name} | skipped: its data set was not given | | | | | | |"]
    found = build_samples(pl.DataFrame(list(rows(calls)), infer_schema_length=None), prices={}.get)
    cut = int(len(found.rows) * (1 - HELD_OUT))
    earlier, later = found.part(0, cut), found.part(cut, len(found.rows))
    learned = learn(earlier, int((later.rows[0].at - EPOCH) / MICROSECOND))
    with tempfile.TemporaryDirectory() as folder:
        policy = LearnedPolicy.load(export(Lake(Path(folder)).create(), "benchmark", learned))
        figures = held_out_metrics(policy, learned, earlier, later)
    shown = [q.name for q in PREDICTED_QUANTITIES if figures.get(f"{q.name}.loss", 0.0) > 0]
    return [line(f"{name}, {len(found.rows)} calls" if n == 0 else "", q, figures) for n, q in enumerate(shown)]


def line(name: str, quantity: str, figures: Mapping[str, float]) -> str:
    ours, level = figures[f"{quantity}.loss"], figures[f"{quantity}.loss_of_level"]
    form = FORMS[int(figures[f"{quantity}.form"])]
    ewma, away = figures.get(f"{quantity}.loss_of_ewma"), figures.get(f"{quantity}.se_over_ewma")
    against = "" if ewma is None or away is None else f"{ours - ewma:+.4f} ± {1.96 * away:.4f}"
    covered = figures.get(f"{quantity}.coverage")
    share = "" if covered is None else f"{covered:.1%} of {figures[f'{quantity}.answers']:.0f}"
    rival = "" if ewma is None else f"{ewma:.4f}"
    return f"| {name} | {quantity} | {form} | {ours:.4f} | {level:.4f} | {rival} | {against} | {share} |"


def rows(calls: Iterable[Call]) -> Iterator[dict[str, Any]]:
    """As ``decision_log`` holds them."""
    for number, call in enumerate(calls):
        name = f"{call.provider}:{call.model}"
        ttft_us = int(call.ttft_s * 1e6) if call.ttft_s else None
        duration_us = max(int(call.duration_s * 1e6), ttft_us or 0)
        attempt = {"endpoint": name, "provider": call.provider, "model": call.model, "error_type": call.error}
        yield {
            "generation_id": str(number),
            "started_at": call.at,
            "model": call.model,
            "estimated_prompt_tokens": call.prompt_tokens,
            "max_tokens": None,
            "stream": True,
            "tools": 0,
            "policy": "price",
            "candidates": [{"endpoint": name, "probability": 1.0, "score": None}],
            "attempts": [attempt | {"started_us": 0, "ttft_us": ttft_us, "duration_us": duration_us}],
            "error_type": call.error,
            "cancelled": False,
            "completion_tokens": call.tokens,
            "finish_reason": None,
            "duration_us": duration_us,
            "client_region": call.region,
        }


if __name__ == "__main__":
    main()
