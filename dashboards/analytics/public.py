"""Hold what public datasets have in common: their days, their smallest group and the names of apps."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from dashboards.analytics.problems import BadQuestion

# The reference's datasets begin here, and have at most so many days.
FIRST_DAY = date(2025, 1, 1)
LONGEST_DAYS = 366
DEFAULT_DAYS = 30
# Numbers that every JSON reader keeps exactly.
_ID_BITS = 53


def window(start: str | None, end: str | None, now: datetime) -> tuple[date, date]:
    """Return the first and last day of a dataset; the last is a day that has ended. Raises ``BadQuestion``."""
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    last = min(read_day(end, "end_date"), yesterday) if end else yesterday
    if last < FIRST_DAY:
        raise BadQuestion(f"end_date must be on or after {FIRST_DAY}")
    first = max(read_day(start, "start_date") if start else last - timedelta(days=DEFAULT_DAYS), FIRST_DAY)
    if first > last:
        raise BadQuestion("start_date must not be after end_date")
    if (last - first).days >= LONGEST_DAYS:
        raise BadQuestion(f"A dataset has at most {LONGEST_DAYS} days; ask for fewer")
    return first, last


def meta(first: date, last: date, now: datetime) -> dict[str, Any]:
    """Return what a dataset says of itself."""
    return {
        "as_of": moment(now),
        "version": "v1",
        "start_date": first.isoformat(),
        "end_date": last.isoformat(),
    }


def moment(now: datetime) -> str:
    """Return ``now`` in UTC, as ISO 8601 with milliseconds."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def app_name(app: str) -> str:
    """Return the host and path of an app's address, or the address itself."""
    parts = urlsplit(app)
    return f"{parts.netloc}{parts.path}".rstrip("/") or app


def app_id(app: str) -> int:
    """Return a number that stays the same for an app."""
    return int.from_bytes(hashlib.sha256(app.encode()).digest()[:8]) >> (64 - _ID_BITS)


def read_day(text: str, field: str) -> date:
    """Return the day that ``text`` names. Raises ``BadQuestion`` naming the ``field``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadQuestion(f"{field} must be a day such as 2026-05-11") from None
