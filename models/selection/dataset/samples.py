"""Turn first attempts into training samples: what was known beforehand, and how the attempt ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.catalogue.cost import rounded_nano
from models.selection.dataset.logged_context import (
    PriceLookup,
    cached_share,
    candidate_of,
    context_of,
    list_prices_for,
)
from models.selection.dataset.point_in_time import first_attempted_endpoint, judge_logged_attempt, walk_log
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.outcome import AttemptResult, log_measured

CHUNK = 4096
# A prompt that is charged ten times its estimate was media, or its estimate was wrong.
MAX_PRICE_RATIO = 10.0


class Sample(NamedTuple):
    """Hold one first attempt. A figure that it did not show is ``None``, as the TTFT of a failure.

    ``known_us`` is when its outcome was known, Unix µs. ``ttft_s`` and ``prompt_price`` are those of
    ``AttemptEstimate``. ``category`` was found afterwards.
    """

    at: datetime
    known_us: int
    context: RequestContext
    candidate: CandidateEndpoint
    result: AttemptResult
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    output_tokens: int | None = None
    malformed: bool | None = None
    prompt_price: float | None = None
    category: str | None = None

    @property
    def endpoint(self) -> str:
        """Return the id of the endpoint."""
        return self.candidate.endpoint

    @property
    def failure(self) -> float | None:
        """Return 1 or 0; ``None`` at a 429, which is no failure."""
        return None if self.result == "rate_limited" else float(self.result == "error")

    @property
    def limited(self) -> float:
        """Return 1 at a 429, otherwise 0."""
        return float(self.result == "rate_limited")

    @property
    def log_ttft(self) -> float | None:
        """Return ln TTFT in s."""
        return log_measured(self.ttft_s)

    @property
    def log_tokens_per_s(self) -> float | None:
        """Return ln tokens/s."""
        return log_measured(self.tokens_per_s)


class Samples(NamedTuple):
    """Hold samples in order of arrival; ``views`` is what was known of each one's endpoint when it was chosen."""

    rows: list[Sample]
    views: EndpointViews

    def part(self, first: int, last: int) -> Samples:
        """Select the samples from ``first`` up to ``last``, exclusive."""
        return Samples(self.rows[first:last], self.views.at(slice(first, last)))

    def between(self, since: datetime, until: datetime | None = None) -> Samples:
        """Select the samples that arrived from ``since`` to ``until``."""
        places = [n for n, s in enumerate(self.rows) if s.at >= since and (until is None or s.at <= until)]
        return self.part(places[0], places[-1] + 1) if places else self.part(0, 0)


def build_samples(frame: pl.DataFrame, prices: PriceLookup | None = None) -> Samples:
    """Convert rows of ``decision_log``, in their order.

    An attempt that says nothing about its endpoint is left out. So is one that stayed with a conversation's cache of
    unknown size: it responded sooner than it would to others.
    """
    rows: list[Sample] = []
    views: list[EndpointViews] = [EndpointViews.unseen(0)]
    chunk: list[EndpointViews] = []
    for row, view in walk_log(frame.iter_rows(named=True), first_attempted_endpoint):
        sample = _sample(row, prices or list_prices_for(row))
        if sample is not None:
            rows.append(sample)
            chunk.append(view)
        if len(chunk) >= CHUNK:
            views.append(EndpointViews.joined(chunk))
            chunk = []
    return Samples(rows, EndpointViews.joined([*views, *chunk]))


def _sample(row: Mapping[str, Any], prices: PriceLookup) -> Sample | None:
    share = cached_share(row)
    if row["policy"] == "sticky" and not share:
        return None
    first, judged = row["attempts"][0], judge_logged_attempt(row, 0)
    if judged.result is None:
        return None
    score = next((c["score"] for c in row["candidates"] if c["endpoint"] == first["endpoint"]), None)
    candidate = candidate_of(first["endpoint"], score, prices, share if row["policy"] == "sticky" else 0.0)
    candidate = candidate._replace(provider=first["provider"])
    if judged.result != "success" or first["error_type"] is not None:
        return Sample(row["started_at"], judged.known_us, context_of(row), candidate, judged.result, judged.ttft_s)
    finished = not row["cancelled"] and row["error_type"] is None
    return Sample(
        row["started_at"],
        judged.known_us,
        context_of(row),
        candidate,
        judged.result,
        judged.ttft_s,
        judged.tokens_per_s,
        row.get("completion_tokens") if finished else None,
        _malformed(row),
        _prompt_price(row, candidate) if finished else None,
        row.get("category"),
    )


def _malformed(row: Mapping[str, Any]) -> bool | None:
    """Return whether tool calls broke their schema, for responses that ended in tool calls and were checked."""
    if "tool_call_fault" not in row or row["finish_reason"] != "tool_calls":
        return None
    return row["tool_call_fault"] is not None


def _prompt_price(row: Mapping[str, Any], candidate: CandidateEndpoint) -> float | None:
    listed = rounded_nano(row["estimated_prompt_tokens"] * candidate.prompt_price)
    if row.get("cost_prompt_nano") is None or listed <= 0 or (row.get("modality") or "text") != "text":
        return None
    ratio = (row["cost_prompt_nano"] + (row.get("cost_cached_nano") or 0)) / listed
    return ratio if 0 < ratio <= MAX_PRICE_RATIO else None


def sample_column(rows: Sequence[Sample], value_of: Callable[[Sample], float | None]) -> NDArray[np.float64]:
    """Return one figure of each sample, (n,), NaN where a sample did not show it."""
    return np.array([math.nan if (value := value_of(s)) is None else value for s in rows], dtype=np.float64)
