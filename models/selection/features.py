"""Features of a decision, one definition for training and for serving. numpy only: the router imports it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The router plans for sizes rounded up to these, so that plans can be kept; what is learned must see the same.
PROMPT_BUCKETS = tuple(int(16 * 1.25**n) for n in range(56))


class Candidate(NamedTuple):
    """An endpoint that may be chosen; prices in nano-USD per million tokens."""

    endpoint: str
    provider: str
    prompt_price: int
    completion_price: int


class Context(NamedTuple):
    """What is known of a request beforehand; ``hour`` of the day in UTC."""

    prompt_tokens: int
    max_tokens: int | None
    stream: bool
    tools: bool
    hour: int


class Level(NamedTuple):
    """Past of an endpoint, shrunk towards its provider and the market: success rate, mean ln of TTFT in s."""

    success: float
    log_ttft: float


# name, unit, source
FEATURES: tuple[tuple[str, str, str], ...] = (
    ("endpoint_success", "share", "attempts of the training window, shrunk"),
    ("endpoint_log_ttft", "ln s", "attempts of the training window, shrunk"),
    ("log_prompt_tokens", "ln(1+tokens)", "estimate from the body's size"),
    ("log_max_tokens", "ln(1+tokens), 0 when not given", "request"),
    ("stream", "0 or 1", "request"),
    ("tools", "0 or 1", "request"),
    ("hour_sin", "1", "arrival, UTC"),
    ("hour_cos", "1", "arrival, UTC"),
)


class Levels(NamedTuple):
    """Levels by endpoint and provider, and the market's for those never seen."""

    endpoints: Mapping[str, Level]
    providers: Mapping[str, Level]
    market: Level

    def of(self, endpoint: str, provider: str) -> Level:
        return self.endpoints.get(endpoint) or self.providers.get(provider) or self.market


def planned_tokens(estimated_prompt_tokens: int) -> int:
    """The size that the router plans for where it estimates ``estimated_prompt_tokens``: one plan for each bucket."""
    return PROMPT_BUCKETS[min(bisect_left(PROMPT_BUCKETS, estimated_prompt_tokens), len(PROMPT_BUCKETS) - 1)]


def vectorise(context: Context, candidates: Sequence[Candidate], levels: Levels) -> NDArray[np.float32]:
    """Array of shape (candidates, features)."""
    angle = 2 * math.pi * context.hour / 24
    shared = (
        math.log1p(context.prompt_tokens),
        math.log1p(context.max_tokens or 0),
        float(context.stream),
        float(context.tools),
        math.sin(angle),
        math.cos(angle),
    )
    rows = [(*levels.of(c.endpoint, c.provider), *shared) for c in candidates]
    return np.asarray(rows, dtype=np.float32).reshape(len(rows), len(FEATURES))
