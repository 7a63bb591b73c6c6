"""Estimates against logs whose truth is known: calibration, coverage, shrinkage, parity, and what is refused."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.lake import Lake
from models.selection.dataset.logged_context import cached_share, context_of
from models.selection.dataset.point_in_time import EPOCH, MICROSECOND, first_attempted_endpoint, walk_log
from models.selection.dataset.samples import Samples, build_samples
from models.selection.decision import predictor
from models.selection.decision.artifact import Artifact, PolicyError
from models.selection.decision.features import (
    CandidateEndpoint,
    RequestContext,
    feature_matrix,
    hour_of_week,
    planned_tokens,
)
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.priors import Moments, PriorHierarchy, priors_from_json, priors_to_json
from models.selection.evaluation.intervals import wilson_interval
from models.selection.evaluation.predictive import held_out_metrics, prediction_losses, quantile_coverage
from models.selection.training.builders import OutputLengthBuilder
from models.selection.training.conformal import conformal_offset
from models.selection.training.export import export, write_header
from models.selection.training.fitting import fit_form
from models.selection.training.learning import LearnedModel, learn, sample_features

# skl2onnx hands numpy scalars to protobuf, which numpy deprecates; the export itself is checked for parity.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

START = datetime(2026, 11, 16, tzinfo=UTC)
# Median TTFT in s, its log-sd, failures, 429s, tokens a second.
TRUTH = {
    "fast:m": (0.3, 0.2, 0.02, 0.05, 80.0),
    "slow:m": (2.0, 0.5, 0.20, 0.02, 30.0),
    "busy:m": (0.6, 0.3, 0.05, 0.40, 60.0),
}


def log(count: int, seed: int = 1, long_doubles: bool = True) -> pl.DataFrame:
    """One request each 5 s at random endpoints; a stream takes half as long, to its first token, a long prompt twice
    as long."""
    dice = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        name = dice.choice(list(TRUTH))
        median_s, sd, failing, limited, pace = TRUTH[name]
        draw, stream, long = dice.random(), dice.random() < 0.5, dice.random() < 0.5
        error = None
        if draw < limited:
            error = "rate_limit_exceeded"
        elif draw < limited + (1 - limited) * failing:
            error = "timeout"
        ttft_s = (
            median_s * dice.lognormvariate(0, sd) * (0.5 if stream else 1.0) * (2.0 if long and long_doubles else 1.0)
        )
        tokens, pace = dice.randint(50, 250), pace * dice.lognormvariate(0, 0.2)
        duration_us = int((ttft_s + tokens / pace) * 1e6) if error is None else 500_000
        attempt = {"endpoint": name, "provider": name.partition(":")[0], "model": "x/m", "error_type": error}
        attempt |= {"started_us": 0, "ttft_us": int(ttft_s * 1e6) if error is None else None}
        row = {"generation_id": f"g{number}", "started_at": START + timedelta(seconds=5 * number), "model": "x/m"}
        row |= {
            "estimated_prompt_tokens": 3000 if long else 300,
            "max_tokens": None,
            "stream": stream,
            "tools": 0,
            "policy": "price",
        }
        row |= {"candidates": [{"endpoint": n, "probability": 1 / 3, "score": 1.0} for n in TRUTH]}
        row |= {"attempts": [attempt | {"duration_us": duration_us}], "error_type": error, "cancelled": False}
        row |= {"completion_tokens": tokens if error is None else None, "duration_us": duration_us}
        row |= {"finish_reason": "stop" if error is None else None, "category": None}
        row |= {"cost_prompt_nano": 500 * (3000 if long else 300) if error is None else 0, "cost_cached_nano": 0}
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def halves(found: Samples) -> tuple[Samples, Samples]:
    cut = len(found.rows) * 4 // 5
    return found.part(0, cut), found.part(cut, len(found.rows))


def until_us(later: Samples) -> int:
    return int((later.rows[0].at - EPOCH) / MICROSECOND)


@pytest.fixture(scope="module")
def found() -> Samples:
    return build_samples(log(5000), prices=lambda name: None)


@pytest.fixture(scope="module")
def learned(found: Samples) -> LearnedModel:
    earlier, later = halves(found)
    return learn(earlier, until_us(later))


@pytest.fixture(scope="module")
def folder(learned: LearnedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(Lake(tmp_path_factory.mktemp("lake")).create(), "v1", learned)


def test_what_is_predicted_is_what_is_true(folder: Path) -> None:
    policy = LearnedPolicy.load(folder)
    candidates = [CandidateEndpoint(name, name.partition(":")[0], 10**9, 10**9) for name in TRUTH]
    for streams, tokens in product((True, False), (300, 3000)):
        estimates = policy.estimates(
            RequestContext(planned_tokens(tokens), None, streams, False, 12, "x/m"), candidates
        )
        for estimate, (median_s, sd, failing, limited, pace) in zip(estimates, TRUTH.values(), strict=True):
            assert estimate.success == pytest.approx(1 - failing, abs=0.05)
            assert estimate.rate_limited == pytest.approx(limited, abs=0.07)
            median_s = median_s * (0.5 if streams else 1.0) * (2.0 if tokens > 1000 else 1.0)
            assert estimate.ttft_s == pytest.approx(median_s, rel=0.2)
            assert estimate.ttft_q90_s == pytest.approx(median_s * math.exp(1.2816 * sd), rel=0.35)
            assert estimate.tokens_per_s == pytest.approx(pace, rel=0.15)
            assert estimate.tokens_per_s_q10 == pytest.approx(pace * math.exp(-1.2816 * 0.2), rel=0.2)
            assert estimate.output_tokens == pytest.approx(150, rel=0.05)
            assert estimate.prompt_price == pytest.approx(0.5, abs=0.02)


def test_the_90th_percentile_covers_what_it_says(folder: Path) -> None:
    """On a log that no one has learned from, within binomial bounds and what 500 rows of correction leave open."""
    fresh = build_samples(log(3000, seed=7), prices=lambda name: None)
    shares = quantile_coverage(prediction_losses(LearnedPolicy.load(folder), fresh))
    for name in ("ttft_q90", "tokens_per_s_q10"):
        answers = int(shares[f"{name}.answers"])
        low, high = wilson_interval(round(shares[f"{name}.coverage"] * answers), answers, 0.999)
        assert low < 0.93
        assert high > 0.87


def test_a_learner_is_chosen_where_there_is_something_to_learn_and_levels_where_there_is_not(
    learned: LearnedModel,
) -> None:
    forms = dict(
        zip((q.name for q in predictor.PREDICTED_QUANTITIES), (rule.form for rule in learned.models()), strict=True)
    )
    assert forms["ttft_q50"] in ("linear", "boosted")
    assert forms["ttft_q90"] in ("linear", "boosted")
    assert forms["failure"] == forms["limited"] == "level"
    plain = build_samples(log(2000, long_doubles=False), prices=lambda name: None)
    earlier, later = halves(plain)
    simple = learn(earlier, until_us(later))
    assert simple.models()[predictor.TTFT_Q50].form in ("level", "ewma")


def test_no_learner_beats_the_base_rate_by_less_than_endpoints_differ(
    folder: Path, learned: LearnedModel, found: Samples
) -> None:
    figures = held_out_metrics(LearnedPolicy.load(folder), learned, *halves(found))
    assert figures["limited.loss"] < figures["limited.loss_of_base_rate"]
    assert figures["failure.loss"] < figures["failure.loss_of_base_rate"]
    assert figures["ttft_q50.loss"] < min(figures["ttft_q50.loss_of_level"], figures["ttft_q50.loss_of_ewma"])
    assert figures["ttft_q90.loss"] < min(figures["ttft_q90.loss_of_level"], figures["ttft_q90.loss_of_ewma"])


def past(mean: float, seen: float = 1000.0) -> dict[str, Moments]:
    return {"log_ttft": Moments(seen, mean, 0.01)}


def test_a_cold_endpoint_is_taken_for_its_provider_then_its_model_then_the_market() -> None:
    levels = PriorHierarchy({"p:m": past(1.0)}, {"p": past(2.0)}, {"x/m": past(3.0)}, past(4.0))
    near = {"abs": 0.1}
    assert levels.of("p:m", "p", "x/m").log_ttft == pytest.approx(1.0, **near)
    assert levels.of("p:new", "p", "x/m").log_ttft == pytest.approx(2.0, **near)
    assert levels.of("q:m", "q", "x/m").log_ttft == pytest.approx(3.0, **near)
    assert levels.of("q:new", "q", "x/new").log_ttft == pytest.approx(4.0, **near)
    quick = PriorHierarchy({"p:m": past(-1.0) | {"log_tokens_per_s": Moments(1e4, math.log(100), 0.01)}}, {}, {}).of(
        "p:m", "p"
    )
    assert quick.log_whole == pytest.approx(math.log(math.exp(-1.0) + 500 / 100), **near)
    whole = PriorHierarchy({"p:m": {"log_whole": Moments(1e4, 0.5, 0.01)}}, {}, {}).of("p:m", "p")
    assert (whole.log_whole, whole.response_time_spread) == (pytest.approx(0.5, **near), pytest.approx(0.1, **near))
    half = PriorHierarchy({"p:m": past(1.0, seen=20)}, {"p": past(2.0)}, {})
    assert half.of("p:m", "p").log_ttft == pytest.approx(1.5, **near)
    assert priors_from_json(json.loads(json.dumps(priors_to_json(levels)))).of("p:new", "p", "x/m") == levels.of(
        "p:new", "p", "x/m"
    )


def test_a_clients_region_is_its_endpoints_then_its_providers() -> None:
    levels = PriorHierarchy({}, {}, {}, regions={("eu", "p:m"): Moments(1000, 0.5)})
    assert levels.region_offset("eu", "p:m", "p") == pytest.approx(0.5, abs=0.02)
    assert levels.region_offset("eu", "p:other", "p") == pytest.approx(0.5, abs=0.02)
    assert levels.region_offset("us", "p:m", "p") == levels.region_offset("eu", "q:m", "q") == 0.0


def test_expected_length_is_that_of_the_narrowest_group_seen_often() -> None:
    tallies = OutputLengthBuilder()
    for _ in range(500):
        tallies.add("x/m", "programming", None, 900)
        tallies.add("x/m", "trivia", None, 100)
        tallies.add("x/m", None, 64, 60)
    lengths = tallies.build()
    assert lengths.expected("x/m", "programming", None) == pytest.approx(900, rel=0.03)
    assert lengths.expected("x/m", None, None) == pytest.approx(500, rel=0.03)
    assert lengths.expected("x/m", None, 50) == 50.0
    assert lengths.expected("x/m", None, 60) == pytest.approx(60, abs=1)


def test_training_and_serving_make_the_same_features(found: Samples, learned: LearnedModel) -> None:
    """Those of one decision made as the router makes them, and those of all samples at once."""
    frame = log(5000)
    together = sample_features(found, learned.priors, learned.lengths)
    rows = [(row, views) for row, views in walk_log(frame.iter_rows(named=True), first_attempted_endpoint)]
    for place in (0, 10, 999, 4999):
        row, views = rows[place]
        alone = feature_matrix(
            (context_of(row),), [found.rows[place].candidate], views, learned.priors, learned.lengths
        )
        assert alone[0] == pytest.approx(together[place], abs=1e-9)


def test_the_hour_is_that_of_the_week_and_the_category_is_not_known_beforehand() -> None:
    assert hour_of_week(START.timestamp()) == 0
    assert hour_of_week((START + timedelta(days=6, hours=23)).timestamp()) == 167
    row = {"estimated_prompt_tokens": 1000, "max_tokens": 5, "stream": True, "tools": 2, "model": "x/m"}
    row |= {"started_at": START, "category": "trivia", "client_region": "eu", "modality": "image", "held_tokens": 250}
    found = context_of(row)
    assert (found.category, found.client_region, found.modality, found.tools) == (None, "eu", "image", True)
    assert cached_share(row) == 0.25


def test_conformal_offsets_cover_what_comes_next() -> None:
    """Check the coverage of exchangeable residuals on average over many draws."""
    rng = np.random.default_rng(3)
    for quantile in (0.9, 0.1, 0.5):
        covered = []
        for _ in range(400):
            residuals = rng.lognormal(size=100)
            covered.append(np.mean(rng.lognormal(size=200) <= conformal_offset(residuals, quantile)))
        assert np.mean(covered) == pytest.approx(quantile, abs=0.015)


@pytest.mark.parametrize("form", predictor.FORMS)
def test_every_form_is_served_as_it_was_learned(
    form: str, found: Samples, learned: LearnedModel, tmp_path: Path
) -> None:
    """Exported, signed, loaded again: the export itself compares every quantity with its learner."""
    rows = sample_features(found, learned.priors, learned.lengths)
    seen = np.column_stack([[_nan(shown(s)) for s in found.rows] for shown in _shown()])
    choices = []
    for place, (quantity, chosen) in enumerate(zip(predictor.PREDICTED_QUANTITIES, learned.choices, strict=True)):
        fitted = fit_form(quantity, form, rows, seen[:, place])
        assert fitted is not None
        choices.append(chosen._replace(fitted=fitted))
    made = export(Lake(tmp_path).create(), form, learned._replace(choices=tuple(choices)))
    assert json.loads((made / "policy.json").read_bytes())["metrics"]["parity"] < 1e-4
    assert (made / "boosted.onnx").exists() == (form == "boosted")
    estimates = Artifact.load(made).estimates(
        RequestContext(300, None, True, False, 3, "x/m"), [CandidateEndpoint("fast:m", "fast", 1, 1)]
    )
    assert estimates[0].ttft_q90_s >= estimates[0].ttft_s


def test_a_straight_line_leads_no_further_than_it_was_seen_to(found: Samples, learned: LearnedModel) -> None:
    """An endpoint whose price is a million times what was fitted on is corrected as the dearest of those were."""
    quantity = predictor.PREDICTED_QUANTITIES[predictor.TTFT_Q50]
    rows = sample_features(found, learned.priors, learned.lengths)
    seen = np.array([_nan(s.log_ttft) for s in found.rows])
    price = predictor.FEATURE_INDEX["log_prompt_price"]
    rows[:, price] = np.linspace(0.0, 1.0, len(rows))
    line = fit_form(quantity, "linear", rows, seen + 0.2 * rows[:, price])
    assert line is not None
    far = rows.copy()
    far[:, price] = 20.0
    rule = line.model
    rules = [rule if n == predictor.TTFT_Q50 else r for n, r in enumerate(learned.models())]
    served = predictor.Predictor([r._replace(boosted=False) for r in rules]).predict(far)[:, predictor.TTFT_Q50]
    assert served == pytest.approx(line.predict(far), abs=1e-9)
    assert rule.within is not None
    assert (served - far[:, predictor.FEATURE_INDEX[rule.base]]).max() == pytest.approx(rule.within[1])
    assert rule.within[1] < 2.0


def _shown() -> tuple[Any, ...]:
    from models.selection.training.learning import TARGETS

    return TARGETS


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "schema 2 is not 3"),
        ({"features": []}, "features"),
        ({"signature": "0"}, "does not have the sha256 that it was signed with"),
    ],
)
def test_a_changed_artifact_is_refused(folder: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    header = json.loads((folder / "policy.json").read_bytes()) | change
    (tmp_path / "policy.json").write_text(json.dumps(header))
    with pytest.raises(PolicyError, match=says):
        Artifact.load(tmp_path)


# Where a header is changed, and to what.
NO_NUMBERS: list[tuple[str, list[Any], Any]] = [
    ("quantities", ["failure", "intercept"], math.nan),
    ("quantities", ["ttft_q50", "intercept"], 1e200),
    ("quantities", ["failure", "weights"], {"level_failure": math.inf}),
    ("levels", ["market", "log_ttft", 1], 1e200),
    ("levels", ["market", "log_ttft", 0], math.nan),
    ("levels", ["market", "failure", 2], -1.0),
    ("levels", ["regions"], [["eu", "a:m", -20.0, 0.1]]),
    ("output_lengths", [0, 4], math.inf),
    ("output_lengths", [0, 3], -20.0),
]


def test_an_artifact_that_lacks_a_part_or_names_no_feature_is_refused(folder: Path, tmp_path: Path) -> None:
    header = json.loads((folder / "policy.json").read_bytes())
    for part in ("quantities", "levels", "output_lengths"):
        write_header(tmp_path, {name: value for name, value in header.items() if name != part})
        with pytest.raises(PolicyError, match=part):
            Artifact.load(tmp_path)
    header["quantities"]["failure"]["weights"] = {"phase_of_the_moon": 1.0}
    write_header(tmp_path, header)
    with pytest.raises(PolicyError, match="phase_of_the_moon"):
        Artifact.load(tmp_path)
    header = json.loads((folder / "policy.json").read_bytes())
    for part, place, figure in NO_NUMBERS:
        damaged = json.loads(json.dumps(header))
        innermost = damaged[part]
        for step in place[:-1]:
            innermost = innermost[step]
        innermost[place[-1]] = figure
        write_header(tmp_path, damaged)
        with pytest.raises(PolicyError, match=r"cannot be read: .* (not finite|are no)"):
            Artifact.load(tmp_path)
    (tmp_path / "policy.json").write_bytes(b"{")
    with pytest.raises(PolicyError, match="cannot be read"):
        Artifact.load(tmp_path)
