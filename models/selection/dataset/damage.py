"""Tell valid rows of the decision log from damaged ones.

An older version, a faulty disk or a manual edit may have left impossible figures in the log. Such a row is left out,
so that it neither distorts a mean nor makes training fail.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

# No request, call or latency lasts a week, no prompt or response has 10^9 tokens, no request costs 10^6 USD, and no
# endpoint asks 10^9 USD per million tokens.
LONGEST_US = 7 * 86_400 * 10**6
MAX_TOKENS = 10**9
MAX_NANO = 10**15
MAX_SCORE = 1e9
# Arrivals outside this range come from a clock that was not set.
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

# The largest value of each column, the least being 0; those of the second kind may be null.
_REQUIRED = {"estimated_prompt_tokens": MAX_TOKENS, "tools": MAX_TOKENS, "cost_nano": MAX_NANO}
_OPTIONAL = {
    # The client's own limit, however large.
    "max_tokens": 2**63 - 1,
    "completion_tokens": MAX_TOKENS,
    "held_tokens": MAX_TOKENS,
    "cost_prompt_nano": MAX_NANO,
    "cost_cached_nano": MAX_NANO,
    "ttft_us": LONGEST_US,
    "duration_us": LONGEST_US,
}


def is_valid(frame: pl.DataFrame) -> pl.Series:
    """Return for each row of ``decision_log`` whether all that is learned from it is there and can be true."""
    times = pl.col("started_at").is_between(FIRST, LAST).fill_null(False)
    named = [pl.col(name).is_not_null() for name in ("generation_id", "stream", "cancelled")]
    required = [pl.col(name).is_between(0, most).fill_null(False) for name, most in _REQUIRED.items()]
    optional = [pl.col(name).is_between(0, most).fill_null(True) for name, most in _OPTIONAL.items()]
    candidate = [
        _part("endpoint").is_not_null(),
        _part("probability").is_between(0.0, 1.0 + 1e-9).fill_null(False),
        _part("score").is_between(-MAX_SCORE, MAX_SCORE).fill_null(True),
    ]
    attempt = [
        _part("endpoint").is_not_null(),
        _part("provider").is_not_null(),
        _part("started_us").is_between(0, LONGEST_US).fill_null(False),
        _part("ttft_us").is_between(0, LONGEST_US).fill_null(True),
        _part("duration_us").is_between(0, LONGEST_US).fill_null(True),
    ]
    lists = [
        pl.col("candidates").list.eval(pl.all_horizontal(candidate)).list.all().fill_null(False),
        pl.col("attempts").list.eval(pl.all_horizontal(attempt)).list.all().fill_null(False),
        (pl.col("attempts").list.len() > 0).fill_null(False),
    ]
    return frame.select(pl.all_horizontal(times, *named, *required, *optional, *lists).alias("valid"))["valid"]


def _part(name: str) -> pl.Expr:
    """Return a field of the structures in a list."""
    return pl.element().struct.field(name)
