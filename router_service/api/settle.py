"""Settle an exchange that has ended: report its calls, and append the record."""

from __future__ import annotations

from data.record.encoding import encode_record
from router_service.api.services import Services
from router_service.core.exchange import Exchange
from router_service.telemetry.record import make_record


def settle(exchange: Exchange, services: Services) -> None:
    """Report what is still open and append the record. Never awaits: it runs while a request is being cancelled, too.

    Tool calls are judged here, when the last byte has gone out: typically in 10 µs, and bounded whatever the
    schemas, so that the record need not wait for a verdict that a crash could lose with it.
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
