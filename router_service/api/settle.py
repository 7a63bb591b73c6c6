"""Settle an exchange that has ended: tell health what it came to, and append the record."""

from __future__ import annotations

from data.schema import encode_record
from router_service.api.services import Services
from router_service.core.exchange import Exchange
from router_service.telemetry.record import make_record


def settle(exchange: Exchange, services: Services) -> None:
    """Append the record. Never awaits: it runs while a request is being cancelled, too.

    Tool calls are judged here, when the last byte has gone out: typically in 10 µs, and bounded whatever the
    schemas, so that the record need not wait for a verdict that a crash could lose with it.
    """
    services.remembering.settle(exchange)
    _observe(exchange, services)
    services.observing.settle(exchange)
    record = make_record(exchange, services.worker)
    payload = encode_record(record)
    services.recent.add(record.generation_id, payload)
    services.log.append(payload)


def _observe(exchange: Exchange, services: Services) -> None:
    endpoint, usage, head = exchange.endpoint, exchange.usage, exchange.head
    if endpoint is None:
        return
    if usage and usage.prompt_tokens:
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        services.health.used(endpoint, usage.prompt_tokens, cached, usage.completion_tokens)
    if exchange.calls is not None and exchange.finish_reason == "tool_calls" and head:
        exchange.verdict = services.tool_calls.check(head.fields["tools"], exchange.calls)
        services.health.tool_calls(endpoint, exchange.verdict.fault is not None)
