"""Compare figures of a range with those of the same hours before it: for metrics, and as columns of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import polars as pl

from dashboards.queries.slices import Windows
from dashboards.time_range import Hours

Kind = Literal["points", "growth"]


class Comparison(NamedTuple):
    """Hold the hours of a page's range, whether a comparison is wanted, and since when there are data (UTC)."""

    windows: Windows
    wanted: bool
    first: datetime

    def reaches(self, times: int) -> bool:
        """Return whether the data reach back to so many ranges before."""
        return self.windows.before(times)[0].replace(tzinfo=None) >= self.first.replace(hour=0, minute=0, second=0,
                                                                                        microsecond=0)  # fmt: skip

    @property
    def before(self) -> Hours | None:
        """Return the hours to compare with, ``None`` if none are wanted or the data do not reach back so far."""
        return Hours(*self.windows.before(1), "month") if self.wanted and self.reaches(1) else None

    @property
    def sentence(self) -> str:
        """Return what is compared with what, or why nothing is."""
        if not self.wanted:
            return ""
        if self.before is None:
            return (
                f"The data begin on {self.first:%Y-%m-%d}, too late to compare all of the range. Choose a shorter one."
            )
        return f"{self.windows.sentence()} (UTC) against {self.windows.sentence(1)}."

    @property
    def against(self) -> str:
        """Return the end of a caption that names the hours that figures are compared with."""
        return "" if self.before is None else f" Compared with {self.windows.sentence(1)} (UTC)."


def growth(now: float | None, then: float | None) -> str | None:
    """Return how much more ``now`` is than ``then``, as a percentage; ``None`` if that cannot be said or is 0."""
    return None if now is None or not then else _unless_zero(f"{now / then - 1:+.0%}")


def points(now: float | None, then: float | None) -> str | None:
    """Return by how many percentage points a share of 1 changed; ``None`` if that cannot be said or is 0."""
    return None if now is None or then is None else _unless_zero(f"{(now - then) * 100:+.2f} points")


def _unless_zero(words: str) -> str | None:
    """Return the words unless all of their digits are 0: a page would show an arrow beside them."""
    return words if re.search("[1-9]", words) else None


def with_changes(
    frame: pl.DataFrame,
    before: pl.DataFrame | None,
    keys: Sequence[str],
    kinds: Mapping[str, Kind],
    few: int,
    n: str = "requests",
) -> pl.DataFrame:
    """Return the frame with ``<column>_change`` after each column of ``kinds``; without ``before``, as it is.

    A change is in percentage points or a growth (1 is twice as much). It is null for a row that the range before does
    not have, and if either row stands on fewer than ``few`` of ``n``.
    """
    if before is None:
        return frame
    then = before.select(*keys, n_before=n, **{f"{name}_before": name for name in kinds})
    joined = frame.join(then, on=list(keys), how="left", nulls_equal=True, maintain_order="left")
    enough = (pl.col(n) >= few) & (pl.col("n_before") >= few)
    columns: list[pl.Expr] = []
    for name in frame.columns:
        columns.append(pl.col(name))
        if kind := kinds.get(name):
            now, earlier = pl.col(name), pl.col(f"{name}_before")
            change = (now - earlier) * 100 if kind == "points" else pl.when(earlier > 0).then(now / earlier - 1)
            columns.append(pl.when(enough).then(change).alias(f"{name}_change"))
    return joined.select(columns)
