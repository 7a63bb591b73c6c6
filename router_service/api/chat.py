"""``POST /chat/completions``: read, admit, route, answer. A bare ASGI handler, since it is the hot road."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from starlette.types import Receive, Scope, Send

from models.selection.features import hour_of_week
from router_service.admission.keys import Key
from router_service.api.auth import authenticate
from router_service.api.buffered import answer_whole
from router_service.api.head import Head, parse_head
from router_service.api.metadata import is_asked, metadata, noting
from router_service.api.streamed import StreamAnswer
from router_service.contract.errors import ApiError
from router_service.exchange import Exchange
from router_service.routing.affinity import affinity_of
from router_service.routing.plan import Decision, Plan
from router_service.routing.refusals import NoEndpoints
from router_service.routing.route import decisions
from router_service.serving import Serving
from router_service.tool_calls.calls import Calls
from router_service.wire import Disconnected, Watches, WhilePresent, read_body, send_json

logger = logging.getLogger(__name__)
CLIENT_CLOSED = 499


class ChatCompletions:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._watches = Watches()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(b"", dict(scope["headers"]))
        try:
            await self._serve(exchange, scope, receive, send)
        except ApiError as error:
            exchange.status, exchange.error_type = error.code, error.error_type
            if isinstance(error, NoEndpoints):
                exchange.refused = error.plan
            body = error.envelope() | metadata(exchange, self._serving.catalogue, error)
            exchange.output_bytes += await send_json(send, error.code, body, exchange.id, error.headers())
        except Disconnected:
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
            self._serving.settle(exchange)

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        serving = self._serving
        key = await authenticate(exchange.headers, serving)
        exchange.key_hash = key.hash
        exchange.client_region = serving.client_region(key, exchange.headers, scope)
        exchange.country = serving.country(exchange.headers)
        if not serving.log.has_room:
            raise ApiError(
                "provider_overloaded",
                "The request log is full and must not lose requests; try again",
                retry_after=1,
            )
        exchange.body = await read_body(receive, exchange.headers, serving.settings.max_body_bytes)
        head = exchange.head = parse_head(exchange.body)
        exchange.labelling = serving.categoriser.submit(head.messages)
        if head.tool_count:
            exchange.calls = Calls()
        if is_asked(exchange.headers):
            exchange.plans = []
        decisions = self._decisions(exchange, head, key)
        async with WhilePresent(self._watches, receive):
            if head.stream:
                await StreamAnswer(exchange, serving, send).run(decisions)
            else:
                await answer_whole(exchange, serving, decisions, send)

    def _decisions(self, exchange: Exchange, head: Head, key: Key) -> Iterator[Decision]:
        planner = self._serving.planner
        demands = self._serving.demands(key, exchange.headers)
        preferences = planner.preferences(head.provider, demands)
        ask = head.ask(len(exchange.body), hour_of_week(exchange.started_at), exchange.client_region)
        sticky = self._serving.sticky
        affinity = exchange.affinity = affinity_of(exchange.key_hash or "", head, exchange.headers)

        def hold(plan: Plan) -> Plan:
            kept = sticky.hold(plan, affinity, ask.prompt_tokens)
            if kept is not plan and affinity is not None and not exchange.attempts:
                exchange.held_tokens = sticky.held_tokens(plan, affinity)
            return kept

        found = decisions(planner, head.wanted(), preferences, ask, self._serving.random.random, demands, hold)
        return found if exchange.plans is None else noting(found, exchange.plans)
