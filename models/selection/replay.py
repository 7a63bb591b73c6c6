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

from data.schema import LOST
from models.selection.decisions import Decision, Floats, LoggedDecisions, Names, decision_of, from_rows
from models.selection.features import Candidate, Context
from models.selection.logged import candidate_of, context_of, list_prices
from models.selection.policy import LearnedPolicy

# Requests that name a strategy of their own are no choices of the installation's policy.
POLICIES = ("learned", "price")
SHORT_PROMPT, LONG_PROMPT = 500, 2000
KINDS = ("category", "prompt", "delivery", "tools")
BLOCKS, LEAST_BLOCK_S, BLOCK_S = 40, 300.0, 3600.0


class Choices(NamedTuple):
    """n decisions with more than one candidate, and what policies may know of them.

    ``success`` is of the first attempt (0 or 1); ``cost_usd`` and ``ttft_s`` are the request's, fallbacks included,
    NaN where no token came. ``kinds`` are what requests can be told apart by, each of shape (n,).
    """

    decisions: LoggedDecisions
    contexts: list[Context]
    candidates: list[tuple[Candidate, ...]]
    success: Floats
    cost_usd: Floats
    ttft_s: Floats
    kinds: Mapping[str, Names]

    def where(self, mask: NDArray[np.bool_]) -> Choices:
        """The choices that ``mask`` of shape (n,) keeps."""
        places = np.flatnonzero(mask)
        return Choices(
            self.decisions.where(mask),
            [self.contexts[place] for place in places],
            [self.candidates[place] for place in places],
            self.success[mask],
            self.cost_usd[mask],
            self.ttft_s[mask],
            {name: column[mask] for name, column in self.kinds.items()},
        )


def choices(frame: pl.DataFrame, speed: float = 1.0) -> Choices | None:
    """The choices among rows of ``decision_log``; ``None`` when there are none. Raises ``ValueError`` on a false log.

    Blocks are hours, shorter where the log is: a ``BLOCKS``th of it, but at least ``LEAST_BLOCK_S``; all of this in
    the market's time, of which ``speed`` seconds pass in one.
    """
    prices = list_prices()
    rows: list[Decision] = []
    contexts: list[Context] = []
    candidates: list[tuple[Candidate, ...]] = []
    success: list[float] = []
    cost: list[float] = []
    ttft: list[float] = []
    kinds: list[dict[str, str]] = []
    for record in frame.filter(pl.col("policy").is_in(POLICIES)).iter_rows(named=True):
        decision = decision_of(record, segment_of(record))
        if decision is None:
            continue
        rows.append(decision)
        contexts.append(context_of(record))
        scores = {c["endpoint"]: c["score"] for c in record["candidates"]}
        candidates.append(tuple(candidate_of(name, scores[name], prices) for name in decision.endpoints))
        success.append(float(record["attempts"][0]["error_type"] in (None, LOST)))
        cost.append(record["cost_nano"] * 1e-9)
        ttft.append(float("nan") if record["ttft_us"] is None else record["ttft_us"] * 1e-6)
        kinds.append(kinds_of(record))
    if not rows:
        return None
    block_s = min(max((rows[-1].at_s - rows[0].at_s) / BLOCKS, LEAST_BLOCK_S / speed), BLOCK_S / speed)
    return Choices(
        from_rows(rows, block_s),
        contexts,
        candidates,
        np.array(success),
        np.array(cost),
        np.array(ttft),
        {name: np.array([kind[name] for kind in kinds], dtype=np.str_) for name in KINDS},
    )


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


def kinds_of(record: Mapping[str, Any]) -> dict[str, str]:
    """By ``KINDS``; a request that was not sampled for categories, or read as nothing certain, has none."""
    tokens = record["estimated_prompt_tokens"]
    size = (
        f"up to {SHORT_PROMPT} tokens" if tokens <= SHORT_PROMPT
        else f"up to {LONG_PROMPT} tokens" if tokens <= LONG_PROMPT
        else f"over {LONG_PROMPT} tokens"
    )  # fmt: skip
    return {
        "category": record["category"] or "not known",
        "prompt": size,
        "delivery": "stream" if record["stream"] else "whole answer",
        "tools": "tools" if record["tools"] > 0 else "no tools",
    }
