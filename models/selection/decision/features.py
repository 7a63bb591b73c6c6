"""Features of a decision, one definition for training and for serving. numpy only: the router imports it."""

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
from models.selection.decision.output_length import MOST_TOKENS, OutputLengths
from models.selection.decision.priors import PriorHierarchy, ShrunkPrior

# The router plans for sizes rounded up to these, so that plans can be kept; what is learned must see the same.
PROMPT_BUCKETS = tuple(int(16 * 1.25**n) for n in range(56))
HOURS = 168
# Observations of a window that weigh as much as what was believed before; a share needs more of them than a mean.
WINDOW_SHRINKAGE = np.array([20.0, 20.0, 4.0, 4.0])
LONGEST_S = 86400.0
# Features are rounded to this, which float32 holds exactly: a tree then cuts the same way in ONNX as when it was grown.
GRID = 1024.0


class CandidateEndpoint(NamedTuple):
    """An endpoint that may be chosen; prices in nano-USD per million tokens.

    ``cached_share`` of the prompt, [0, 1], is believed to be in the endpoint's prompt cache.
    """

    endpoint: str
    provider: str
    prompt_price: int
    completion_price: int
    cached_share: float = 0.0


class RequestContext(NamedTuple):
    """What is known of a request beforehand; ``hour`` of the week in UTC, 0 on Monday at midnight, 167 the last.

    ``modality`` of what comes with the text: text | image | audio | file. ``category`` one of the twelve, where known.
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


_LEVELS = (
    ("level_failure", "share", "attempts of the training window, shrunk"),
    ("level_limited", "share", "attempts of the training window, shrunk"),
    ("level_log_ttft", "ln s", "answers delivered alike: first token of streams, else the whole; shrunk"),
    ("level_ttft_spread", "ln s", "standard deviation within the endpoint of answers delivered alike, shrunk"),
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
        ("failure", "share", "window less level, by how often it was seen"),
        ("limited", "share", "window less level, by how often it was seen"),
        ("log_ttft", "ln s", "window less level of answers delivered alike, by how often it was seen"),
        ("log_tokens_per_s", "ln tokens/s", "window less level, by how often it was seen"),
        ("log_attempts", "ln(1+attempts)", "faded number of attempts"),
    )
    for window in ("30s", "5min", "30min")
)
_ENDPOINT = (
    ("log_in_flight", "ln(1+calls)", "calls of this router under way at the endpoint"),
    ("log_since_failure", "ln(1+s), at most a day", "end of the endpoint's last failed call"),
    ("log_prompt_price", "ln(1+micro-USD per million tokens)", "catalogue"),
    ("log_completion_price", "ln(1+micro-USD per million tokens)", "catalogue"),
    ("region_log_ttft", "ln s", "client's region at this endpoint less its level, of streams, shrunk; 0 if unknown"),
    ("cached_share", "share", "prompt believed to be in the endpoint's cache"),
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
FEATURES: tuple[tuple[str, str, str], ...] = (*_LEVELS, *_RECENT, *_WINDOWS, *_ENDPOINT, *_CONTEXT)
# What only a log of two such periods can tell from a trend.
PERIODS_DAYS = {"day": 1, "week": 7}
FEATURE_INDEX = {name: place for place, (name, _, _) in enumerate(FEATURES)}
# Columns of ``PriorHierarchy.rows`` that the windows are measured against, in the order of the windows' quantities.
_AGAINST = np.array([0, 1, 2, 4])
_AT_RECENT = len(_LEVELS)
_OF_WHOLE = ShrunkPrior._fields.index("log_whole")
_AT_WINDOWS = _AT_RECENT + len(_RECENT)
_AT_COUNTS = _AT_WINDOWS + 12
_AT_ENDPOINT = _AT_WINDOWS + len(_WINDOWS)
_AT_PRICES = _AT_ENDPOINT + 2
_AT_REGION = _AT_PRICES + 2
_AT_CONTEXT = _AT_ENDPOINT + len(_ENDPOINT)


def planned_tokens(estimated_prompt_tokens: int) -> int:
    """The size that the router plans for where it estimates ``estimated_prompt_tokens``: one plan for each bucket."""
    return PROMPT_BUCKETS[min(bisect_left(PROMPT_BUCKETS, estimated_prompt_tokens), len(PROMPT_BUCKETS) - 1)]


def planned_limit(max_tokens: int | None) -> int | None:
    """Return the completion limit that the router plans for where a request sets ``max_tokens``: one power of two."""
    return None if max_tokens is None else 1 << max(max_tokens - 1, 0).bit_length()


def hour_of_week(unix_s: float) -> int:
    """0 on Monday from midnight to one in UTC, 167 the last; ``unix_s`` are Unix seconds, which began on a Thursday."""
    return int(unix_s // 3600 + 72) % HOURS


def feature_matrix(
    contexts: Sequence[RequestContext],
    candidates: Sequence[CandidateEndpoint],
    views: EndpointViews,
    levels: PriorHierarchy,
    lengths: OutputLengths,
    level: Floats | None = None,
    unseen: Floats | None = None,
) -> Floats:
    """(n, features) of n candidates; ``contexts`` are as many, or one that is all theirs. Where they are at hand,
    ``level`` is ``prior_rows`` and ``unseen`` the features, before anything was seen, of the same."""
    level = prior_rows(contexts, candidates, levels) if level is None else level
    level, counts, means = _delivered(contexts, level, views)
    rows = _unseen(contexts, candidates, levels, lengths, level) if unseen is None else unseen.copy()
    # Half-lives first: on whole blocks of memory the sums take two thirds of the time.
    counted, means = (np.ascontiguousarray(seen.transpose(2, 0, 1)) for seen in (counts, means))
    trust = counted / (counted + WINDOW_SHRINKAGE)
    recent = level.take(_AGAINST, axis=1)
    off = means - recent
    off *= trust
    rows[:, _AT_WINDOWS:_AT_COUNTS] = off.transpose(1, 2, 0).reshape(len(rows), -1)
    recent[:, LOG_TTFT] += rows[:, _AT_REGION]
    for half in (2, 1, 0):
        recent += trust[half] * (means[half] - recent)
    rows[:, _AT_RECENT:_AT_WINDOWS] = recent
    logs = rows[:, _AT_COUNTS:_AT_PRICES]
    logs[:, :WINDOWS] = counts[:, RATE_LIMITED]
    logs[:, WINDOWS] = views.in_flight
    np.minimum(views.since_failure_s, LONGEST_S, out=logs[:, WINDOWS + 1])
    np.log1p(logs, out=logs)
    _round(rows[:, _AT_RECENT:_AT_PRICES])
    return rows


def _unseen(
    contexts: Sequence[RequestContext],
    candidates: Sequence[CandidateEndpoint],
    levels: PriorHierarchy,
    lengths: OutputLengths,
    level: Floats,
) -> Floats:
    """Everything but what live windows say, which is left open."""
    rows = np.zeros((len(candidates), len(FEATURES)))
    rows[:, :_AT_RECENT] = level
    rows[:, _AT_PRICES] = [candidate.prompt_price * 1e-3 for candidate in candidates]
    rows[:, _AT_PRICES + 1] = [candidate.completion_price * 1e-3 for candidate in candidates]
    prices = rows[:, _AT_PRICES : _AT_PRICES + 2]
    np.log1p(prices, out=prices)
    rows[:, _AT_REGION] = _regions(contexts, candidates, levels)
    rows[:, _AT_REGION + 1] = [candidate.cached_share for candidate in candidates]
    rows[:, _AT_CONTEXT:] = [_context(context, lengths) for context in contexts]
    _round(rows)
    return rows


def _round(rows: Floats) -> None:
    rows *= GRID
    np.rint(rows, out=rows)
    rows *= 1 / GRID


def prior_rows(
    contexts: Sequence[RequestContext], candidates: Sequence[CandidateEndpoint], levels: PriorHierarchy
) -> Floats:
    """(n, fields of ``ShrunkPrior``) of n candidates."""
    if len(contexts) == 1:
        model = contexts[0].model
        return levels.rows([(c[0], c[1], model) for c in candidates])
    pairs = zip(contexts, candidates, strict=True)
    return levels.rows([(c.endpoint, c.provider, context.model) for context, c in pairs])


def _delivered(
    contexts: Sequence[RequestContext], level: Floats, views: EndpointViews
) -> tuple[Floats, Floats, Floats]:
    """PriorHierarchy, counts and means in which the wait is that of answers delivered as each context wants it."""
    whole = [not context.stream for context in contexts]
    every = level
    level = level[:, :_OF_WHOLE]
    counts, means = views.counts[:, :LOG_RESPONSE_TIME, :WINDOWS], views.means[:, :LOG_RESPONSE_TIME, :WINDOWS]
    if any(whole):
        level, counts, means = level.copy(), counts.copy(), means.copy()
        places = slice(None) if len(whole) == 1 else np.flatnonzero(whole)
        level[places, LOG_TTFT : LOG_TTFT + 2] = every[places, _OF_WHOLE : _OF_WHOLE + 2]
        counts[places, LOG_TTFT] = views.counts[places, LOG_RESPONSE_TIME, :WINDOWS]
        means[places, LOG_TTFT] = views.means[places, LOG_RESPONSE_TIME, :WINDOWS]
    return level, counts, means


def _regions(
    contexts: Sequence[RequestContext], candidates: Sequence[CandidateEndpoint], levels: PriorHierarchy
) -> Floats | float:
    if len(contexts) == 1:
        region = contexts[0].client_region
        if region is None or not levels.regions or not contexts[0].stream:
            return 0.0
        return np.array([levels.region(region, c.endpoint, c.provider) for c in candidates])
    regions = [context.client_region or "" if context.stream else "" for context in contexts]
    pairs = zip(regions, candidates, strict=True)
    return np.array([levels.region(region, c.endpoint, c.provider) for region, c in pairs])


def _context(context: RequestContext, lengths: OutputLengths) -> tuple[float, ...]:
    day, week = 2 * math.pi * context.hour / 24, 2 * math.pi * context.hour / HOURS
    return (
        math.log1p(context.prompt_tokens),
        math.log1p(min(max(context.max_tokens or 0, 0), MOST_TOKENS)),
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
