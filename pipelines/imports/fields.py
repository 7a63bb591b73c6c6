"""Read single values of foreign rows into the units of the record; a wrong value rejects its row with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

MAX_TOKENS = 10**9
MAX_USD = Decimal(10**6)
MAX_MILLISECONDS = Decimal(7 * 86_400_000)
MAX_TEXT = 512
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# No router of language models is older.
EARLIEST = datetime(2019, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(days=1)


class RowRejected(ValueError):
    """Say why a row is not imported, and what its file would have to hold instead."""


def text(values: Mapping[str, Any], name: str) -> str | None:
    """Return a text of at most ``MAX_TEXT`` characters, or ``None`` where it is absent or empty."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowRejected(f"{name} must be a text, not {_shown(value)}")
    return str(value).strip()[:MAX_TEXT] or None


def required_text(values: Mapping[str, Any], name: str) -> str:
    """Return a text; reject the row without it."""
    found = text(values, name)
    if found is None:
        raise RowRejected(f"{name} is missing")
    return found


def moment(values: Mapping[str, Any], name: str) -> int:
    """Return Unix microseconds of an ISO 8601 time; one without an offset is UTC."""
    written = required_text(values, name)
    try:
        found = datetime.fromisoformat(written.removesuffix(" UTC"))
    except ValueError:
        raise RowRejected(f"{name} must be a time such as 2026-11-17T05:00:00Z, not {_shown(written)}") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    if not EARLIEST <= found <= datetime.now(UTC) + CLOCK_SKEW:
        raise RowRejected(f"{name} is {_shown(written)}, which is before 2019 or in the future")
    return (found - EPOCH) // timedelta(microseconds=1)


def count(values: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number from 0 to ``MAX_TOKENS``, or ``None`` where it is absent."""
    found = _decimal(values, name)
    if found is None:
        return None
    if found != found.to_integral_value() or not 0 <= found <= MAX_TOKENS:
        raise RowRejected(f"{name} must be a whole number from 0 to {MAX_TOKENS}, not {_shown(values[name])}")
    return int(found)


def nano_usd(values: Mapping[str, Any], name: str) -> int | None:
    """Return an amount of USD in nano-USD, rounded half up once, or ``None`` where it is absent."""
    found = _decimal(values, name)
    if found is None:
        return None
    if not 0 <= found <= MAX_USD:
        raise RowRejected(f"{name} must be from 0 to {MAX_USD} USD, not {_shown(values[name])}")
    return int((found * 10**9).to_integral_value(ROUND_HALF_UP))


def microseconds(values: Mapping[str, Any], name: str) -> int | None:
    """Return a duration given in milliseconds in microseconds; ``None`` where it is absent or 0, hence not measured."""
    found = _decimal(values, name)
    if not found:
        return None
    if not 0 <= found <= MAX_MILLISECONDS:
        raise RowRejected(f"{name} must be from 0 to {MAX_MILLISECONDS} ms, not {_shown(values[name])}")
    return int(found * 1000)


def flag(values: Mapping[str, Any], name: str) -> bool:
    """Return whether a value says yes; an absent one says no."""
    value = values.get(name)
    if isinstance(value, bool):
        return value
    if value is None or str(value).strip().lower() in ("", "false", "f", "0", "no", "none", "null"):
        return False
    if str(value).strip().lower() in ("true", "t", "1", "yes"):
        return True
    raise RowRejected(f"{name} must be true or false, not {_shown(value)}")


def mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a JSON object, empty where it is absent or something else."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def _decimal(values: Mapping[str, Any], name: str) -> Decimal | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowRejected(f"{name} must be a number, not {_shown(value)}")
    try:
        found = Decimal(str(value).strip()[:64])
    except InvalidOperation:
        raise RowRejected(f"{name} must be a number, not {_shown(value)}") from None
    if not found.is_finite():
        raise RowRejected(f"{name} must be a number, not {_shown(value)}")
    return found


def _shown(value: object) -> str:
    return repr(value)[:60]
