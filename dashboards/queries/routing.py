"""Query what routing did: who decided, which of the eligible endpoints served, what that gained and what it cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import duckdb
import polars as pl

from dashboards.queries.periods import HOUR, period_sql
from dashboards.time_range import TimeRange

By = Literal["policy", "version", "model"]
UNDECIDED = "nothing decided"
_NAMES: dict[By, str] = {
    "policy": f"coalesce(policy, '{UNDECIDED}')",
    "version": f"CASE WHEN policy IS NULL THEN '{UNDECIDED}' ELSE concat_ws(' ', policy, policy_version) END",
    "model": "model",
}
# Amounts are shown for so many requests.
PER = 1000
# An interval from fewer hours or days would say more than is known.
FEWEST_BLOCKS = 20
# From so many days on, a day is one observation: neighbouring hours resemble each other.
DAILY_FROM = timedelta(days=28)
# Two-sided 95 % of the normal distribution, and of Student's t to the first order of one over its degrees of freedom.
_Z = 1.959964
RANKS = ("1st", "2nd", "3rd", "4th or lower")
ATTEMPTS = ("1st attempt", "2nd attempt", "3rd or later")
UNRANKED, UNSERVED = "not among the eligible", "none served"


class Kept(NamedTuple):
    """Hold the policy and the model that requests are narrowed to; ``None`` for all."""

    policy: str | None = None
    model: str | None = None

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """Return the pairs of field and value that list the same requests."""
        found = (("policy", self.policy), ("model", self.model))
        return tuple((name, value) for name, value in found if value is not None)


def names(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, by: By) -> list[str]:
    """Return policies, versions or models of the range, most requests first."""
    rows = served(mart, time_range._replace(grain="month"), by, Kept()).drop_nulls("name")
    summed = rows.group_by("name").agg(pl.col("requests").sum())
    found: list[str] = summed.sort("requests", "name", descending=[True, False])["name"].to_list()
    return found


def served(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, by: By, kept: Kept) -> pl.DataFrame:
    """Return ``period, name, value, requests``: requests by the range's grain; both figures are their number."""
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, {_NAMES[by]} AS name,
            CAST(sum(requests) AS BIGINT) AS value, CAST(sum(requests) AS BIGINT) AS requests
        FROM routing_hourly WHERE {_WHERE} GROUP BY 1, 2 ORDER BY 1, 2
        """,
        _asked(time_range, kept),
    ).pl()


def ranks(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, kept: Kept) -> pl.DataFrame:
    """Return ``rank, attempt, requests, share``: which eligible endpoint served, by probability, at which attempt."""
    rows = mart.execute(
        f"""
        SELECT rank, attempt, CAST(sum(requests) AS BIGINT) AS requests
        FROM served_ranks_hourly WHERE {_WHERE} GROUP BY 1, 2
        """,
        _asked(time_range, kept),
    ).pl()
    no_one = pl.col("rank").is_null() & pl.col("attempt").is_null()
    named = rows.select(
        pl.when(no_one).then(pl.lit(UNSERVED)).otherwise(_word("rank", RANKS).fill_null(UNRANKED)).alias("rank"),
        _word("attempt", ATTEMPTS).fill_null(UNSERVED).alias("attempt"),
        "requests",
    )
    made = named.group_by("rank", "attempt").agg(pl.col("requests").sum())
    order = pl.Enum([*RANKS, UNRANKED, UNSERVED])
    made = made.sort(pl.col("rank").cast(order), "attempt")
    return made.with_columns(share=pl.col("requests") / pl.col("requests").sum())


def shares(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, kept: Kept) -> pl.DataFrame:
    """Return ``period, name, value, requests``: the shares of requests that fallback rescued, explored and hedged."""
    rows = mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, CAST(sum(requests) AS BIGINT) AS requests,
            sum(rescued) / sum(requests) AS rescued, sum(explored) / sum(requests) AS explored,
            sum(hedged) / sum(requests) AS hedged
        FROM routing_hourly WHERE {_WHERE} GROUP BY 1 ORDER BY 1
        """,
        _asked(time_range, kept),
    ).pl()
    return rows.unpivot(index=["period", "requests"], variable_name="name", value_name="value").select(
        "period", "name", "value", "requests"
    )


def sums(mart: duckdb.DuckDBPyConnection, begin: datetime, end: datetime, kept: Kept) -> dict[str, int]:
    """Return the sums of all figures of the hours from ``begin`` to ``end`` by their names in the mart."""
    figures = ("requests", "choices", "explored", "exploration_nano", "gain_nano", "rescued", "hedged",
               "hedge_cost_nano")  # fmt: skip
    columns = ", ".join(f"CAST(coalesce(sum({name}), 0) AS BIGINT) AS {name}" for name in figures)
    asked = {"begin": begin, "end": end, "policy": kept.policy, "model": kept.model}
    row = mart.execute(f"SELECT {columns} FROM routing_hourly WHERE {_WHERE}", asked).fetchone()
    assert row is not None
    return dict(zip(figures, row, strict=True))


def gains(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, by: By, kept: Kept) -> pl.DataFrame:
    """Return ``name, requests, choices, explored`` and USD per ``PER`` requests, each with ``_low`` and ``_high``.

    These are ``gain``, what the choice saved, ``exploration``, what exploring cost, by which the gain is smaller, and
    ``net``, the gain less the cost of hedged requests. Intervals are of 95 %; null where hours or days are too few.
    """
    block = "day" if time_range.end - time_range.begin >= DAILY_FROM else "hour"
    return _blocks(mart, time_range, kept, _NAMES[by], block, "name").sort(
        "requests", "name", descending=[True, False], nulls_last=True
    )


def gains_over_time(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, kept: Kept) -> pl.DataFrame:
    """Return the same for each ``period`` of the range's grain."""
    block = "day" if time_range.grain == "month" else "hour"
    return _blocks(mart, time_range, kept, period_sql(time_range.grain), block, "period").sort("period")


def intervals(blocks: pl.DataFrame, key: str, amount: str) -> pl.DataFrame:
    """Return ``<key>, <amount>, <amount>_low, <amount>_high`` of rows with ``<key>, requests, <amount>``, a block each.

    The value is the ratio of both sums, per ``PER`` requests. Requests of one hour or day depend on each other, so
    that blocks are the observations: the interval is that of a ratio of sums over them.
    """
    n, value = pl.col("requests"), pl.col(amount)
    over = blocks.with_columns(ratio=value.sum().over(key) / n.sum().over(key))
    found = over.group_by(key).agg(
        pl.col("ratio").first(),
        blocks=pl.len(),
        error=((value - pl.col("ratio") * n) ** 2).sum().sqrt() / n.sum(),
    )
    free = pl.col("blocks") - 1
    student = _Z + (_Z**3 + _Z) / (4 * free)
    half = student * pl.col("error") * (pl.col("blocks") / free).sqrt()
    half = pl.when(pl.col("blocks") >= FEWEST_BLOCKS).then(half)
    return found.select(
        key,
        (pl.col("ratio") * PER).alias(amount),
        ((pl.col("ratio") - half) * PER).alias(f"{amount}_low"),
        ((pl.col("ratio") + half) * PER).alias(f"{amount}_high"),
    )


def worded(frame: pl.DataFrame, figure: str) -> pl.DataFrame:
    """Return the frame with ``word``: better or worse if the interval of ``figure`` does not reach 0, else unclear."""
    above, below = ("worse", "better") if figure == "exploration" else ("better", "worse")
    of_low = pl.when(pl.col(f"{figure}_low") > 0).then(pl.lit(above))
    return frame.with_columns(
        word=of_low.when(pl.col(f"{figure}_high") < 0).then(pl.lit(below)).otherwise(pl.lit("unclear"))
    )


def _blocks(
    mart: duckdb.DuckDBPyConnection, time_range: TimeRange, kept: Kept, expression: str, block: str, key: str
) -> pl.DataFrame:
    rows = mart.execute(
        f"""
        SELECT {expression} AS {key}, date_trunc('{block}', {HOUR}) AS block, CAST(sum(requests) AS BIGINT) AS requests,
            CAST(sum(choices) AS BIGINT) AS choices, CAST(sum(explored) AS BIGINT) AS explored,
            sum(gain_nano) / 1e9 AS gain, sum(exploration_nano) / 1e9 AS exploration,
            (sum(gain_nano) - sum(hedge_cost_nano)) / 1e9 AS net
        FROM routing_hourly WHERE {_WHERE} GROUP BY 1, 2 ORDER BY 1, 2
        """,
        _asked(time_range, kept),
    ).pl()
    found = rows.group_by(key).agg(pl.col("requests", "choices", "explored").sum())
    for amount in ("gain", "exploration", "net"):
        found = found.join(intervals(rows, key, amount), on=key, nulls_equal=True)
    return found


def _word(column: str, words: tuple[str, ...]) -> pl.Expr:
    places = dict(enumerate(words[:-1], 1))
    last = pl.when(pl.col(column) >= len(words)).then(pl.lit(words[-1]))
    return pl.coalesce(pl.col(column).replace_strict(places, default=None, return_dtype=pl.String), last)


_WHERE = (
    "hour >= $begin AND hour < $end AND ($policy IS NULL OR policy = $policy) AND ($model IS NULL OR model = $model)"
)


def _asked(time_range: TimeRange, kept: Kept) -> dict[str, object]:
    return {"begin": time_range.begin, "end": time_range.end, "policy": kept.policy, "model": kept.model}
