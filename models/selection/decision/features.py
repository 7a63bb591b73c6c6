"""Compute the features of a decision, by one definition for training and for serving."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats
from models.selection.decision.live_observations import (
    FAILURE,
    LOG_RESPONSE_TIME,
    LOG_TOKENS_PER_S,
    LOG_TTFT,
    RATE_LIMITED,
    WINDOWS,
    EndpointViews,
)
from models.selection.decision.output_length import MAX_TOKENS, OutputLengths
from models.selection.decision.priors import PriorHierarchy, ShrunkPrior

# The router plans for sizes rounded up to these, so that plans can be cached; training must see the same sizes.
PROMPT_BUCKETS = tuple(int(16 * 1.25**n) for n in range(56))
HOURS = 168
# So many observations of a window weigh as much as the prior; a share needs more of them than a mean.
WINDOW_SHRINKAGE = np.array([20.0, 20.0, 4.0, 4.0])
LONGEST_S = 86400.0
# Features are rounded to 1 / ``GRID``, which float32 holds exactly, so that a tree splits alike in ONNX and in
# training.
GRID = 1024.0


class CandidateEndpoint(NamedTuple):
    """Describe an endpoint that may be chosen. Prices are integer nano-USD per million tokens.

    ``cached_share`` is the part of the prompt, [0, 1], that is expected to be in the endpoint's prompt cache.
    """

    endpoint: str
    provider: str
    prompt_price: int
    completion_price: int
    cached_share: float = 0.0


class RequestContext(NamedTuple):
    """Hold what is known of a request before it is sent.

    ``hour`` is the hour of the week in UTC, 0 on Monday at midnight and 167 the last. ``modality`` is text, image,
    audio or file: what comes with the text. ``category`` is one of the twelve where it is known.
    """

    prompt_tokens: int
    max_tokens: int | None
    stream: bool
    tools: bool
    hour: int
    model: str = ""
    category: str | None = None
    modality: str = "text"
    client_region: str | None = None


_PRIORS = (
    ("level_failure", "share", "attempts of the training window, shrunk"),
    ("level_limited", "share", "attempts of the training window, shrunk"),
    ("level_log_ttft", "ln s", "responses delivered alike: TTFT of streams, else response time; shrunk"),
    ("level_ttft_spread", "ln s", "standard deviation within the endpoint of responses delivered alike, shrunk"),
    ("level_log_tokens_per_s", "ln tokens/s", "streamed answers of the training window, shrunk"),
    ("level_pace_spread", "ln tokens/s", "standard deviation within the endpoint, shrunk"),
)
_RECENT = (
    ("recent_failure", "share", "level, corrected by each window in turn, the longest first"),
    ("recent_limited", "share", "level, corrected by each window in turn"),
    ("recent_log_ttft", "ln s", "level, corrected by each window in turn, and by the client's region"),
    ("recent_log_tokens_per_s", "ln tokens/s", "level, corrected by each window in turn"),
)
_WINDOWS = tuple(
    (f"{window}_{name}", unit, source)
    for name, unit, source in (
        ("failure", "share", "window less level, by number of observations"),
        ("limited", "share", "window less level, by number of observations"),
        ("log_ttft", "ln s", "window less level of responses delivered alike, by number of observations"),
        ("log_tokens_per_s", "ln tokens/s", "window less level, by number of observations"),
        ("log_attempts", "ln(1+attempts)", "decayed number of attempts"),
    )
    for window in ("30s", "5min", "30min")
)
_ENDPOINT = (
    ("log_in_flight", "ln(1+calls)", "calls of this router in flight at the endpoint"),
    ("log_since_failure", "ln(1+s), at most a day", "end of the endpoint's last failed call"),
    ("log_prompt_price", "ln(1+micro-USD per million tokens)", "catalogue"),
    ("log_completion_price", "ln(1+micro-USD per million tokens)", "catalogue"),
    ("region_log_ttft", "ln s", "client's region at this endpoint less its level, of streams, shrunk; 0 if unknown"),
    ("cached_share", "share", "prompt expected to be in the endpoint's cache"),
)
_CONTEXT = (
    ("log_prompt_tokens", "ln(1+tokens)", "estimate from the body's size"),
    ("log_max_tokens", "ln(1+tokens), 0 when not given", "request"),
    ("limited_length", "0 or 1", "request: whether max_tokens is given"),
    ("log_output_tokens", "ln(1+tokens)", "expected length by model, category and max_tokens"),
    ("stream", "0 or 1", "request"),
    ("tools", "0 or 1", "request"),
    ("image", "0 or 1", "request"),
    ("audio", "0 or 1", "request"),
    ("file", "0 or 1", "request"),
    ("day_sin", "1", "arrival, UTC"),
    ("day_cos", "1", "arrival, UTC"),
    ("week_sin", "1", "arrival, UTC"),
    ("week_cos", "1", "arrival, UTC"),
)
# name, unit, source
FEATURES: tuple[tuple[str, str, str], ...] = (*_PRIORS, *_RECENT, *_WINDOWS, *_ENDPOINT, *_CONTEXT)
# A log must hold two such periods to tell their course from a trend.
PERIODS_DAYS = {"day": 1, "week": 7}
FEATURE_INDEX = {name: place for place, (name, _, _) in enumerate(FEATURES)}
# Columns of ``ShrunkPrior`` that the windows are compared with, in the order of the windows' quantities.
_PRIOR_COLUMNS = np.array([0, 1, 2, 4])
_AT_RECENT = len(_PRIORS)
_RESPONSE_TIME = ShrunkPrior._fields.index("log_whole")
_AT_WINDOWS = _AT_RECENT + len(_RECENT)
_AT_COUNTS = _AT_WINDOWS + 12
_AT_ENDPOINT = _AT_WINDOWS + len(_WINDOWS)
_AT_PRICES = _AT_ENDPOINT + 2
_AT_REGION = _AT_PRICES + 2
_AT_CONTEXT = _AT_ENDPOINT + len(_ENDPOINT)


def planned_tokens(estimated_prompt_tokens: int) -> int:
    """Round an estimate of prompt tokens up to the bucket that the router plans for."""
    return PROMPT_BUCKETS[min(bisect_left(PROMPT_BUCKETS, estimated_prompt_tokens), len(PROMPT_BUCKETS) - 1)]


def planned_limit(max_tokens: int | None) -> int | None:
    """Return the completion limit that the router plans for where a request sets ``max_tokens``: one power of two."""
    return None if max_tokens is None else 1 << max(max_tokens - 1, 0).bit_length()


def hour_of_week(unix_s: float) -> int:
    """Return the hour of the week in UTC, 0 on Monday at midnight.

    ``unix_s`` are Unix seconds, which began on a Thursday.
    """
    return int(unix_s // 3600 + 72) % HOURS


def feature_matrix(
    contexts: Sequence[RequestContext],
    candidates: Sequence[CandidateEndpoint],
    views: EndpointViews,
    priors: PriorHierarchy,
    lengths: OutputLengths,
    prior: Floats | None = None,
    static: Floats | None = None,
) -> Floats:
    """Return the features of n candidates, (n, features).

    ``contexts`` has one entry per candidate, or a single one for all. Where the caller has them already, ``prior`` is
    ``prior_rows`` of the same candidates, and ``static`` their features without any observation.
    """
    prior = prior_rows(contexts, candidates, priors) if prior is None else prior
    prior, counts, means = _by_delivery(contexts, prior, views)
    rows = _static_features(contexts, candidates, priors, lengths, prior) if static is None else static.copy()
    # With half-lives as the first axis, sums over whole blocks of memory take two thirds of the time.
    counts_by_half_life, means = (np.ascontiguousarray(seen.transpose(2, 0, 1)) for seen in (counts, means))
    weights = counts_by_half_life / (counts_by_half_life + WINDOW_SHRINKAGE)
    corrected = prior.take(_PRIOR_COLUMNS, axis=1)
    deviations = means - corrected
    deviations *= weights
    rows[:, _AT_WINDOWS:_AT_COUNTS] = deviations.transpose(1, 2, 0).reshape(len(rows), -1)
    corrected[:, LOG_TTFT] += rows[:, _AT_REGION]
    for half in (2, 1, 0):
        corrected += weights[half] * (means[half] - corrected)
    rows[:, _AT_RECENT:_AT_WINDOWS] = corrected
    logs = rows[:, _AT_COUNTS:_AT_PRICES]
    logs[:, :WINDOWS] = counts[:, RATE_LIMITED]
    logs[:, WINDOWS] = views.in_flight
    np.minimum(views.since_failure_s, LONGEST_S, out=logs[:, WINDOWS + 1])
    np.log1p(logs, out=logs)
    _round(rows[:, _AT_RECENT:_AT_PRICES])
    return rows


def _static_features(
    contexts: Sequence[RequestContext],
    candidates: Sequence[CandidateEndpoint],
    priors: PriorHierarchy,
    lengths: OutputLengths,
    prior: Floats,
) -> Floats:
    """Return the features that do not depend on observations; the columns of the others hold zeros."""
    rows = np.zeros((len(candidates), len(FEATURES)))
    rows[:, :_AT_RECENT] = prior
    rows[:, _AT_PRICES] = [candidate.prompt_price * 1e-3 for candidate in candidates]
    rows[:, _AT_PRICES + 1] = [candidate.completion_price * 1e-3 for candidate in candidates]
    prices = rows[:, _AT_PRICES : _AT_PRICES + 2]
    np.log1p(prices, out=prices)
    rows[:, _AT_REGION] = _regions(contexts, candidates, priors)
    rows[:, _AT_REGION + 1] = [candidate.cached_share for candidate in candidates]
    rows[:, _AT_CONTEXT:] = [_context(context, lengths) for context in contexts]
    _round(rows)
    return rows


def _round(rows: Floats) -> None:
    rows *= GRID
    np.rint(rows, out=rows)
    rows *= 1 / GRID


def prior_rows(
    contexts: Sequence[RequestContext], candidates: Sequence[CandidateEndpoint], priors: PriorHierarchy
) -> Floats:
    """Return the shrunk priors of n candidates, (n, fields of ``ShrunkPrior``)."""
    if len(contexts) == 1:
        model = contexts[0].model
        return priors.rows([(c[0], c[1], model) for c in candidates])
    pairs = zip(contexts, candidates, strict=True)
    return priors.rows([(c.endpoint, c.provider, context.model) for context, c in pairs])


def _by_delivery(
    contexts: Sequence[RequestContext], prior: Floats, views: EndpointViews
) -> tuple[Floats, Floats, Floats]:
    """Return priors, counts and means with the latency of each context's delivery.

    That is TTFT for streams and response time for the others.
    """
    non_streaming = [not context.stream for context in contexts]
    full = prior
    prior = prior[:, :_RESPONSE_TIME]
    counts, means = views.counts[:, :LOG_RESPONSE_TIME, :WINDOWS], views.means[:, :LOG_RESPONSE_TIME, :WINDOWS]
    if any(non_streaming):
        prior, counts, means = prior.copy(), counts.copy(), means.copy()
        places = slice(None) if len(non_streaming) == 1 else np.flatnonzero(non_streaming)
        prior[places, LOG_TTFT : LOG_TTFT + 2] = full[places, _RESPONSE_TIME : _RESPONSE_TIME + 2]
        counts[places, LOG_TTFT] = views.counts[places, LOG_RESPONSE_TIME, :WINDOWS]
        means[places, LOG_TTFT] = views.means[places, LOG_RESPONSE_TIME, :WINDOWS]
    return prior, counts, means


def _regions(
    contexts: Sequence[RequestContext], candidates: Sequence[CandidateEndpoint], priors: PriorHierarchy
) -> Floats | float:
    if len(contexts) == 1:
        region = contexts[0].client_region
        if region is None or not priors.regions or not contexts[0].stream:
            return 0.0
        return np.array([priors.region_offset(region, c.endpoint, c.provider) for c in candidates])
    regions = [context.client_region or "" if context.stream else "" for context in contexts]
    pairs = zip(regions, candidates, strict=True)
    return np.array([priors.region_offset(region, c.endpoint, c.provider) for region, c in pairs])


def _context(context: RequestContext, lengths: OutputLengths) -> tuple[float, ...]:
    day, week = 2 * math.pi * context.hour / 24, 2 * math.pi * context.hour / HOURS
    return (
        math.log1p(context.prompt_tokens),
        math.log1p(min(max(context.max_tokens or 0, 0), MAX_TOKENS)),
        float(context.max_tokens is not None),
        math.log1p(lengths.expected(context.model, context.category, context.max_tokens)),
        float(context.stream),
        float(context.tools),
        float(context.modality == "image"),
        float(context.modality == "audio"),
        float(context.modality == "file"),
        math.sin(day),
        math.cos(day),
        math.sin(week),
        math.cos(week),
    )


assert (FAILURE, RATE_LIMITED, LOG_TTFT, LOG_TOKENS_PER_S, LOG_RESPONSE_TIME) == (0, 1, 2, 3, 4)
