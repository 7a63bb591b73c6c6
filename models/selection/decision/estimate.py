"""What is expected of one attempt: the learned prior's figures, which live correction then moves."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """Of a first attempt. Shares in [0, 1]; ``success`` is of the attempts that are not answered 429.

    ``ttft_s`` of an answer that is not streamed is the whole answer's time; throughput is always that of streams.
    ``ttft_q90_s`` is reached or undercut by 90 % of the answers, ``tokens_per_s_q10`` reached by 90 %;
    ``output_tokens`` is the expected length of the answer. ``prompt_price`` is what the prompt was charged over its
    estimated tokens at list price: caches, and how each provider counts tokens.
    """

    success: float
    limited: float
    ttft_s: float
    ttft_q90_s: float
    tokens_per_s: float
    tokens_per_s_q10: float
    output_tokens: float
    malformed: float = 0.0
    prompt_price: float = 1.0
