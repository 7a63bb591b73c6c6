"""Logged choices, and what an artifact would have done with each: probabilities recomputed from the record.

The record holds candidates, sizes and the hour, so nothing of a shadow is written on the hot path. What it does
not hold: prompt and completion prices, which come from the catalogue (the logged blend where it no longer has
the endpoint), and whether a size was that of media, which the router plans for as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.selection.decisions import Decision, Floats, LoggedDecisions, decision_of, from_rows
from models.selection.features import Candidate, Context
from models.selection.logged import candidate_of, context_of, list_prices
from models.selection.policy import LearnedPolicy

# Requests that name a strategy of their own are no choices of the installation's policy.
POLICIES = ("learned", "price")
LONG_PROMPT = 2000
BLOCKS, LEAST_BLOCK_S, BLOCK_S = 40, 300.0, 3600.0


class Choices(NamedTuple):
    """n decisions with more than one candidate, and what policies may know of them.

    ``success`` is of the first attempt (0 or 1), ``cost_usd`` what the request cost, fallbacks included.
    """

    decisions: LoggedDecisions
    contexts: list[Context]
    candidates: list[tuple[Candidate, ...]]
    success: Floats
    cost_usd: Floats

    def where(self, mask: NDArray[np.bool_]) -> Choices:
        """The choices that ``mask`` of shape (n,) keeps."""
        places = np.flatnonzero(mask)
        return Choices(
            self.decisions.where(mask),
            [self.contexts[place] for place in places],
            [self.candidates[place] for place in places],
            self.success[mask],
            self.cost_usd[mask],
        )


def choices(frame: pl.DataFrame) -> Choices | None:
    """The choices among rows of ``decision_log``; ``None`` when there are none. Raises ``ValueError`` on a false log.

    Blocks are hours, shorter where the log is: a ``BLOCKS``th of it, but at least ``LEAST_BLOCK_S``.
    """
    prices = list_prices()
    rows: list[Decision] = []
    contexts: list[Context] = []
    candidates: list[tuple[Candidate, ...]] = []
    success: list[float] = []
    cost: list[float] = []
    for record in frame.filter(pl.col("policy").is_in(POLICIES)).iter_rows(named=True):
        decision = decision_of(record, segment_of(record))
        if decision is None:
            continue
        rows.append(decision)
        contexts.append(context_of(record))
        scores = {c["endpoint"]: c["score"] for c in record["candidates"]}
        candidates.append(tuple(candidate_of(name, scores[name], prices) for name in decision.endpoints))
        success.append(float(record["attempts"][0]["error_type"] is None))
        cost.append(record["cost_nano"] * 1e-9)
    if not rows:
        return None
    block_s = min(max((rows[-1].at_s - rows[0].at_s) / BLOCKS, LEAST_BLOCK_S), BLOCK_S)
    return Choices(from_rows(rows, block_s), contexts, candidates, np.array(success), np.array(cost))


def probabilities(policy: LearnedPolicy, found: Choices) -> Floats:
    """What ``policy`` would have given each logged candidate, (n, k). Raises ``PolicyError``."""
    target = np.zeros_like(found.decisions.logged)
    known: dict[tuple[Context, tuple[Candidate, ...]], list[float]] = {}
    for place, key in enumerate(zip(found.contexts, found.candidates, strict=True)):
        chances = known.get(key)
        if chances is None:
            chances = known[key] = policy.probabilities(*key)
        target[place, : len(chances)] = chances
    return target


def segment_of(record: Mapping[str, Any]) -> str:
    """For whom a policy is better or worse: by tools and by the prompt's length."""
    tools = "tools" if record["tools"] > 0 else "no tools"
    length = "long prompt" if record["estimated_prompt_tokens"] > LONG_PROMPT else "short prompt"
    return f"{tools}, {length}"
