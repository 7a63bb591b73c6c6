"""Compute time ranges and grains from what a page's controls say, without Streamlit."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

Grain = Literal["day", "week", "month"]
GRAINS: tuple[Grain, ...] = ("day", "week", "month")
# Days, and the grain that suits them; None for all.
PRESETS: dict[str, tuple[int | None, Grain]] = {
    "1 day": (1, "day"),
    "7 days": (7, "day"),
    "30 days": (30, "day"),
    "90 days": (90, "week"),
    "52 weeks": (364, "week"),
    "all": (None, "month"),
}
CUSTOM = "custom"


class TimeRange(NamedTuple):
    """Hold days from ``begin`` to ``end``, which is not included, and the grain that charts show them in."""

    begin: date
    end: date
    grain: Grain

    @property
    def previous(self) -> TimeRange:
        """Return the range of the same length before this one."""
        return TimeRange(self.begin - (self.end - self.begin), self.begin, self.grain)

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """Return when the first day begins and the last one ends, in UTC."""
        return datetime.combine(self.begin, time(), UTC), datetime.combine(self.end, time(), UTC)

    def last(self, most: timedelta) -> TimeRange:
        """Return the last days of the range, at most ``most``."""
        return self._replace(begin=max(self.begin, self.end - most))

    def sentence(self) -> str:
        return f"{self.begin} to {self.end - timedelta(days=1)}"


class Hours(NamedTuple):
    """Hold hours from ``begin`` to ``end``, which is not included (UTC), and the grain that charts show them in."""

    begin: datetime
    end: datetime
    grain: Grain


# What queries are asked of: days, or hours that are compared with others.
Span = TimeRange | Hours


def range_of(preset: str, grain: Grain, first: date, last: date, chosen: tuple[date, ...] = ()) -> TimeRange:
    """Return the range of a preset, or of the two ``chosen`` days, over data of the days ``first`` to ``last``.

    It begins with a whole period of the grain. The last day of the data, which may not have ended, is in it.
    """
    if preset == CUSTOM and len(chosen) == 2:
        begin, end = min(chosen), max(chosen) + timedelta(days=1)
    else:
        days = PRESETS.get(preset, (None, grain))[0]
        end = last + timedelta(days=1)
        begin = first if days is None else end - timedelta(days=days)
    return TimeRange(period_begin(begin, grain), end, grain)


def period_begin(day: date, grain: Grain) -> date:
    """Return the first day of the period that has ``day``; weeks begin on Monday."""
    if grain == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if grain == "week" else day


def period_end(begin: date, grain: Grain) -> date:
    """Return the first day after the period that begins at ``begin``."""
    if grain == "month":
        return (begin + timedelta(days=32)).replace(day=1)
    return begin + timedelta(days=7 if grain == "week" else 1)


def compared_ranges(time_range: TimeRange, first: date) -> tuple[TimeRange, TimeRange]:
    """Return two ranges of days to compare: the range and the one before it, or else its second half and its first.

    The second is for data, from ``first`` on, that do not reach back far enough.
    """
    if first <= time_range.previous.begin:
        return time_range._replace(grain="day"), time_range.previous._replace(grain="day")
    begin = max(time_range.begin, first)
    middle = time_range.end - timedelta(days=max((time_range.end - begin).days // 2, 1))
    return TimeRange(middle, time_range.end, "day"), TimeRange(middle - (time_range.end - middle), middle, "day")
