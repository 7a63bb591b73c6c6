"""Test how the time after which a provider may be called again is read."""

from __future__ import annotations

import msgspec
import pytest

from router_service.providers.failures import retry_after
from tests.router_service.providers.formats.openai_chat.wire import FORMAT, endpoint

NOW = 1_764_441_600.0  # Sat, 29 Nov 2025 18:40:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("inf", None),
        ("nan", None),
        ("Sat, 29 Nov 2025 18:41:30 GMT", 90.0),
        ("Sat, 29 Nov 2025 18:41:30", 90.0),
        ("Sat, 29 Nov 2025 18:00:00 GMT", 0.0),
        ("soon", None),
        ("Sat, 99 Nov 2025 18:00:00 GMT", None),
    ],
)
def test_seconds_and_dates_are_read(value: str | None, seconds: float | None) -> None:
    """A number of seconds and a date of HTTP mean a time from now, and anything else means nothing."""
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("code", "kind"), [("1113", "provider_unavailable"), ("1302", "rate_limit_exceeded"), (None, "rate_limit_exceeded")]
)
def test_an_account_without_a_balance_is_not_limited_in_rate(code: str | None, kind: str) -> None:
    """Z.AI answers both with 429, and waiting helps against one of them alone."""
    body = msgspec.json.encode({"error": {"code": code, "message": "Insufficient balance"}})
    assert FORMAT.error(429, body, {}, endpoint("zai", "glm-5")).error_type == kind
