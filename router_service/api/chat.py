"""Serve ``POST /chat/completions``. A bare ASGI handler, because this is the hot path."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import Receive, Scope, Send

from data.record.encoding import encode_record
from router_service.admission.keys import Key
from router_service.api.asgi import ClientDisconnected, DisconnectWatches, WhileConnected, read_body, send_json
from router_service.api.buffered import respond_buffered
from router_service.api.decisions import decisions_of
from router_service.api.metadata import is_asked, metadata
from router_service.api.parse_head import nested_too_deeply, parse_head
from router_service.api.services import Services
from router_service.api.streamed import StreamedResponse
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.tool_calls import ToolCallCollector
from router_service.planning.availability import NoEndpoints
from router_service.telemetry.record import make_record

logger = logging.getLogger(__name__)
CLIENT_CLOSED = 499


class ChatCompletions:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._watches = DisconnectWatches()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(b"", dict(scope["headers"]))
        try:
            await self._serve(exchange, scope, receive, send)
        except ApiError as error:
            exchange.status, exchange.error_type = error.code, error.error_type
            if isinstance(error, NoEndpoints):
                exchange.rejected_plan = error.plan
            body = error.envelope() | metadata(exchange, self._services.catalogue, error)
            exchange.output_bytes += await send_json(send, error.code, body, exchange.id, error.headers())
        except RecursionError:
            # A field that was passed over as raw JSON is decoded deeper in the stack than the body was.
            refusal = nested_too_deeply()
            exchange.status, exchange.error_type = refusal.code, refusal.error_type
            exchange.output_bytes += await send_json(send, refusal.code, refusal.envelope(), exchange.id)
        except ClientDisconnected:
            exchange.cancelled, exchange.status = True, CLIENT_CLOSED
            exchange.ended_by_client = True
        except asyncio.CancelledError:
            exchange.cancelled, exchange.status = True, CLIENT_CLOSED
            exchange.ended_by_client = False
            raise
        except Exception:
            logger.exception("request %s failed", exchange.id)
            fault = ApiError("server", "Internal error; the router's own log has it under the generation id")
            exchange.status, exchange.error_type = fault.code, fault.error_type
            exchange.output_bytes += await send_json(send, fault.code, fault.envelope(), exchange.id)
        finally:
            settle(exchange, self._services)

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        key = await admit(exchange, services, scope, receive)
        head = exchange.head = parse_head(exchange.body)
        exchange.labelling = services.categoriser.submit(head.messages)
        if head.tool_count:
            exchange.tool_calls = ToolCallCollector()
        if is_asked(exchange.headers):
            exchange.plans = []
        decisions = decisions_of(services, exchange, head, key)
        with WhileConnected(self._watches, receive):
            if head.stream:
                await StreamedResponse(exchange, services, send).run(decisions)
            else:
                await respond_buffered(exchange, services, decisions, send)


async def admit(exchange: Exchange, services: Services, scope: Scope, receive: Receive) -> Key:
    """Return the key of a request, and read its body into ``exchange``.

    Raises ``ApiError`` as ``authenticate`` and ``read_body`` do, and while the log has no room for its record.
    """
    key = await services.admission.authenticate(exchange.headers)
    exchange.key_hash = key.hash
    exchange.client_region = services.admission.client_region(key, exchange.headers, scope)
    exchange.country = services.admission.country(exchange.headers)
    if not services.log.has_room:
        raise ApiError(
            "provider_overloaded", "The request log is full and must not lose requests; try again", retry_after=1
        )
    exchange.body = await read_body(receive, exchange.headers, services.max_body_bytes)
    return key


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
