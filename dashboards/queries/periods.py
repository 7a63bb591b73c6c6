"""Write the SQL of periods, and of a mart's rows of a range: by the longest periods that it has of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Literal

from dashboards.time_range import period_begin, period_end
from data.marts import COARSER, Period, coarser_view

Unit = Literal["hour", "day", "week", "month"]
# In UTC without a zone: DuckDB truncates such a time six times as fast.
HOUR = "make_timestamp(epoch_us(hour))"


def period_sql(unit: Unit, column: str = HOUR) -> str:
    """Return SQL of the first day of the period that ``hour`` is in."""
    return f"CAST(date_trunc('{unit}', {column}) AS DATE)"


def rows_between(mart: str, begin: date, end: date, unit: Unit = "month") -> str:
    """Return SQL of the rows of ``mart`` from ``begin`` to ``end`` (UTC), for sums by ``unit``.

    Days, weeks or months that lie in the range come from the rows that the mart has by them, its ends from those by
    shorter periods. ``hour`` is when such a period began.
    """
    pieces = _pieces(_moment(begin), _moment(end), _nested(mart, unit))
    selects = [
        f"SELECT * FROM {coarser_view(mart, period) if period else mart} "
        f"WHERE hour >= TIMESTAMPTZ '{first:%Y-%m-%d %H:%M:%S}+00' AND hour < TIMESTAMPTZ '{last:%Y-%m-%d %H:%M:%S}+00'"
        for period, first, last in pieces
    ]
    return f"({' UNION ALL '.join(selects)})"


def _nested(mart: str, unit: Unit) -> tuple[Period, ...]:
    """Return the periods that may be summed by ``unit``, the longest first; those of a week lie in no month."""
    periods: tuple[Period, ...] = COARSER.get(mart, ())
    return tuple(one for one in reversed(periods) if unit != "hour" and one in ("day", unit))


def _pieces(
    begin: datetime, end: datetime, periods: Sequence[Period]
) -> Iterator[tuple[Period | None, datetime, datetime]]:
    if not periods:
        yield None, begin, end
        return
    period, shorter = periods[0], periods[1:]
    first, last = _next_begin(begin, period), _moment(period_begin(end.date(), period))
    if first >= last:
        yield from _pieces(begin, end, shorter)
        return
    yield period, first, last
    if begin < first:
        yield from _pieces(begin, first, shorter)
    if last < end:
        yield from _pieces(last, end, shorter)


def _next_begin(moment: datetime, period: Period) -> datetime:
    begin = period_begin(moment.date(), period)
    return moment if _moment(begin) == moment else _moment(period_end(begin, period))


def _moment(day: date) -> datetime:
    """Return a moment in UTC; that of a day is its begin."""
    if isinstance(day, datetime):
        return day if day.tzinfo else day.replace(tzinfo=UTC)
    return datetime.combine(day, time(), UTC)
