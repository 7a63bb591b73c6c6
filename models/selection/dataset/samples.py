"""First attempts, as a learner sees them: what was known beforehand, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.selection.dataset.logged_context import (
    PriceLookup,
    cached_share,
    candidate_of,
    context_of,
    list_price_lookup,
)
from models.selection.dataset.point_in_time import first_attempted_endpoint, judge_logged_attempt, walk_log
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.outcome import AttemptResult, log_measured

CHUNK = 4096
# A prompt that is charged ten times its estimate was media, or the estimate was of something else.
MOST_PRICE = 10.0


class Sample(NamedTuple):
    """One first attempt; what it did not show is ``None``, as the TTFT of a failure.

    ``known_us`` is when its outcome was known, Unix µs; ``ttft_s`` and ``prompt_price`` as in ``Estimate``;
    ``category`` was found out afterwards.
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
        return self.candidate.endpoint

    @property
    def failure(self) -> float | None:
        """1 or 0; ``None`` at a 429, which is no failure."""
        return None if self.result == "rate_limited" else float(self.result == "error")

    @property
    def limited(self) -> float:
        return float(self.result == "rate_limited")

    @property
    def log_ttft(self) -> float | None:
        return log_measured(self.ttft_s)

    @property
    def log_tokens_per_s(self) -> float | None:
        return log_measured(self.tokens_per_s)


class Samples(NamedTuple):
    """In order of arrival; ``views`` is what was known of each one's endpoint when it was chosen."""

    rows: list[Sample]
    views: EndpointViews

    def part(self, first: int, last: int) -> Samples:
        return Samples(self.rows[first:last], self.views.at(slice(first, last)))

    def between(self, since: datetime, until: datetime | None = None) -> Samples:
        """Those that arrived from ``since`` to ``until``."""
        places = [n for n, s in enumerate(self.rows) if s.at >= since and (until is None or s.at <= until)]
        return self.part(places[0], places[-1] + 1) if places else self.part(0, 0)


def build_samples(frame: pl.DataFrame, prices: PriceLookup | None = None) -> Samples:
    """Rows of ``decision_log`` in their order. An attempt that says nothing about its endpoint is left out, and so is
    one that stayed with a conversation's cache of unknown size: it answered sooner than it would answer others."""
    rows: list[Sample] = []
    views: list[EndpointViews] = [EndpointViews.unseen(0)]
    chunk: list[EndpointViews] = []
    known = prices or list_price_lookup()
    for row, view in walk_log(frame.iter_rows(named=True), first_attempted_endpoint):
        found = _sample(row, known)
        if found is not None:
            rows.append(found)
            chunk.append(view)
        if len(chunk) >= CHUNK:
            views.append(EndpointViews.joined(chunk))
            chunk = []
    return Samples(rows, EndpointViews.joined([*views, *chunk]))


def _sample(row: Mapping[str, Any], prices: PriceLookup) -> Sample | None:
    share = cached_share(row)
    if row["policy"] == "sticky" and not share:
        return None
    first, found = row["attempts"][0], judge_logged_attempt(row, 0)
    if found.result is None:
        return None
    score = next((c["score"] for c in row["candidates"] if c["endpoint"] == first["endpoint"]), None)
    candidate = candidate_of(first["endpoint"], score, prices, share if row["policy"] == "sticky" else 0.0)
    candidate = candidate._replace(provider=first["provider"])
    if found.result != "success" or first["error_type"] is not None:
        return Sample(row["started_at"], found.known_us, context_of(row), candidate, found.result, found.ttft_s)
    finished = not row["cancelled"] and row["error_type"] is None
    return Sample(
        row["started_at"],
        found.known_us,
        context_of(row),
        candidate,
        found.result,
        found.ttft_s,
        found.tokens_per_s,
        row.get("completion_tokens") if finished else None,
        _malformed(row),
        _prompt_price(row, candidate) if finished else None,
        row.get("category"),
    )


def _malformed(row: Mapping[str, Any]) -> bool | None:
    """Of answers that ended in tool calls, where the log says whether they were whole."""
    if "tool_call_fault" not in row or row["finish_reason"] != "tool_calls":
        return None
    return row["tool_call_fault"] is not None


def _prompt_price(row: Mapping[str, Any], candidate: CandidateEndpoint) -> float | None:
    listed = candidate.prompt_price * row["estimated_prompt_tokens"] * 1e-6
    if row.get("cost_prompt_nano") is None or listed <= 0 or (row.get("modality") or "text") != "text":
        return None
    ratio = (row["cost_prompt_nano"] + row["cost_cached_nano"]) / listed
    return ratio if 0 < ratio <= MOST_PRICE else None


def sample_column(rows: Sequence[Sample], of: Callable[[Sample], float | None]) -> NDArray[np.float64]:
    """(n,), NaN where a sample did not show it."""
    return np.array([math.nan if (value := of(s)) is None else value for s in rows], dtype=np.float64)
