"""Finish an exchange that has ended: report the outcomes of its calls and append its record."""

from __future__ import annotations

from data.record.encoding import encode_record
from router_service.api.services import Services
from router_service.core.exchange import Exchange
from router_service.telemetry.record import make_record


def settle(exchange: Exchange, services: Services) -> None:
    """Report the open calls and append the record. Never awaits, since it also runs while a request is cancelled.

    Tool calls are validated here, after the last byte was sent. That typically takes 10 µs and is bounded for any
    schema, so the record is appended at once with the verdict: a crash cannot lose a record that waits for one.
    """
    if (
        exchange.tool_calls is not None
        and exchange.finish_reason == "tool_calls"
        and exchange.head
        and exchange.endpoint
    ):
        exchange.tool_call_verdict = services.tool_calls.check(exchange.head.fields["tools"], exchange.tool_calls)
    services.outcomes.settle(exchange)
    record = make_record(exchange, services.worker)
    payload = encode_record(record)
    services.recent.add(record.generation_id, payload)
    services.log.append(payload)
