"""Collect logged choices with all that a policy may know of them, so that its probabilities can be recomputed.

The record holds candidates, sizes and the hour, and the rows before a decision are what had been observed by then. So
nothing of a shadow is written on the hot path. The record lacks prompt and completion prices, which come from the
catalogue (the logged blend where it no longer has the endpoint), and whether a size was that of media, which the router
plans for as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.lake import Lake
from models.selection.dataset import decision_log
from models.selection.dataset.logged_context import candidate_of, context_of, list_prices_for
from models.selection.dataset.logged_decisions import LoggedDecision, LoggedDecisions, decision_of, from_rows
from models.selection.dataset.point_in_time import eligible_endpoints, judge_logged_attempt, walk_log
from models.selection.decision.arrays import Floats, Ints, Names
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.live_observations import EndpointViews

# Requests that name a strategy of their own are no choices of the installation's policy.
REPLAYED_POLICIES = ("learned", "price")
SHORT_PROMPT, LONG_PROMPT = 500, 2000
REQUEST_KINDS = ("category", "prompt", "delivery", "tools")
BLOCKS, MIN_BLOCK_S, BLOCK_S = 40, 300.0, 3600.0
# Rows before the first decision. They hold half of the weight of the slowest window, and more would make a refresh
# each minute too slow.
WARM_UP, WARM_UP_DECISIONS = timedelta(days=1), 20_000
CHUNK = 1024


class ReplaySet(NamedTuple):
    """Hold n decisions with more than one candidate, and what policies may know of them.

    ``views`` holds what had been observed of all candidates, one decision's after the other's, in single precision; a
    decision's begin at ``starts``, (n,). ``success`` is that of the first attempt (0 or 1). ``cost_usd`` and ``ttft_s``
    are the request's, fallbacks included; NaN where no token came. ``kinds`` are the groups that requests are divided
    into, each of shape (n,).
    """

    decisions: LoggedDecisions
    contexts: list[RequestContext]
    candidates: list[tuple[CandidateEndpoint, ...]]
    views: EndpointViews
    starts: Ints
    success: Floats
    cost_usd: Floats
    ttft_s: Floats
    kinds: Mapping[str, Names]

    def where(self, mask: NDArray[np.bool_]) -> ReplaySet:
        """Select the choices that ``mask`` (n,) keeps; the views are shared."""
        places = np.flatnonzero(mask)
        return ReplaySet(
            self.decisions.where(mask),
            [self.contexts[place] for place in places],
            [self.candidates[place] for place in places],
            self.views,
            self.starts[mask],
            self.success[mask],
            self.cost_usd[mask],
            self.ttft_s[mask],
            {name: column[mask] for name, column in self.kinds.items()},
        )

    def views_of(self, place: int) -> EndpointViews:
        """Return the views of the candidates of the decision at ``place``."""
        start = int(self.starts[place])
        return self.views.at(slice(start, start + len(self.candidates[place])))


class _ViewsBuilder:
    """Collect views in chunks: thousands of small arrays would take many times the memory of their content."""

    def __init__(self) -> None:
        self._joined: list[EndpointViews] = [EndpointViews.unseen(0).single()]
        self._chunk: list[EndpointViews] = []
        self._count = 0
        self.starts: list[int] = []

    def add(self, views: EndpointViews) -> None:
        """Add the views of one decision."""
        self.starts.append(self._count)
        self._count += len(views)
        self._chunk.append(views)
        if len(self._chunk) >= CHUNK:
            self.join()

    def join(self) -> EndpointViews:
        """Return all views that were added."""
        self._joined.append(EndpointViews.joined([EndpointViews.unseen(0), *self._chunk]).single())
        self._chunk = []
        return EndpointViews.joined(self._joined)


def read_replay_set(lake: Lake, last: int, since: datetime | None = None, speed: float = 1.0) -> ReplaySet | None:
    """Read the choices among the ``last`` rows of the log that arrived after ``since``; as ``build_replay_set``."""
    begin = since - WARM_UP if since is not None else None
    frame = decision_log.read(lake, last=last + WARM_UP_DECISIONS, since=begin)
    if len(frame) > last:
        earliest: datetime = frame["started_at"][-last - 1]
        since = earliest if since is None else max(since, earliest)
    return build_replay_set(frame, speed, since)


def build_replay_set(frame: pl.DataFrame, speed: float = 1.0, since: datetime | None = None) -> ReplaySet | None:
    """Collect the choices after ``since``; earlier rows of ``decision_log`` only add to what had been observed.

    The result is ``None`` where there is no choice. Raises ``ValueError`` on a log that contradicts itself. Blocks are
    hours, or in a short log a ``BLOCKS``th of it, but at least ``MIN_BLOCK_S``: all of this in the market's time, which
    passes ``speed`` times as fast.
    """
    rows: list[LoggedDecision] = []
    contexts: list[RequestContext] = []
    candidates: list[tuple[CandidateEndpoint, ...]] = []
    views_builder = _ViewsBuilder()
    outcomes: list[tuple[float, float, float]] = []
    kinds: list[dict[str, str]] = []

    def endpoints_of(record: Mapping[str, Any]) -> Sequence[str]:
        is_wanted = record["policy"] in REPLAYED_POLICIES and (since is None or record["started_at"] > since)
        return eligible_endpoints(record) if is_wanted else ()

    for record, views in walk_log(frame.iter_rows(named=True), endpoints_of):
        decision = decision_of(record, segment_of(record)) if len(views) else None
        if decision is None:
            continue
        rows.append(decision)
        contexts.append(context_of(record))
        scores = {c["endpoint"]: c["score"] for c in record["candidates"]}
        prices = list_prices_for(record)
        candidates.append(tuple(candidate_of(name, scores[name], prices) for name in decision.endpoints))
        views_builder.add(views)
        outcomes.append(_first_attempt_outcome(record))
        kinds.append(request_kinds(record))
    if not rows:
        return None
    block_s = min(max((rows[-1].at_s - rows[0].at_s) / BLOCKS, MIN_BLOCK_S / speed), BLOCK_S / speed)
    success, cost, ttft = np.array(outcomes).T.copy()
    columns = {name: np.array([kind[name] for kind in kinds], dtype=np.str_) for name in REQUEST_KINDS}
    starts = np.array(views_builder.starts, dtype=np.int64)
    return ReplaySet(
        from_rows(rows, block_s), contexts, candidates, views_builder.join(), starts, success, cost, ttft, columns
    )


def _first_attempt_outcome(record: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return success, cost in USD and TTFT in s."""
    success = float(judge_logged_attempt(record, 0).result == "success")
    ttft_s = float("nan") if record["ttft_us"] is None else record["ttft_us"] * 1e-6
    return success, record["cost_nano"] * 1e-9, ttft_s


def segment_of(record: Mapping[str, Any]) -> str:
    """Return the segment that a policy may be better or worse for: tools, and length of the prompt."""
    tools = "tools" if record["tools"] > 0 else "no tools"
    length = "long prompt" if record["estimated_prompt_tokens"] > LONG_PROMPT else "short prompt"
    return f"{tools}, {length}"


def request_kinds(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the request's group for each of ``REQUEST_KINDS``.

    The category is known only of sampled requests, and only where it is certain.
    """
    tokens = record["estimated_prompt_tokens"]
    size = (
        f"up to {SHORT_PROMPT} tokens" if tokens <= SHORT_PROMPT
        else f"up to {LONG_PROMPT} tokens" if tokens <= LONG_PROMPT
        else f"over {LONG_PROMPT} tokens"
    )  # fmt: skip
    return {
        "category": record["category"] or "not known",
        "prompt": size,
        "delivery": "stream" if record["stream"] else "non-streaming",
        "tools": "tools" if record["tools"] > 0 else "no tools",
    }
