"""Price a response whose caller has left, by what its provider does then; see ``data/catalogue/cancellation.toml``."""

from __future__ import annotations

import msgspec

from data.catalogue.types import Endpoint
from models.selection.decision.priors import TYPICAL_OUTPUT_TOKENS
from router_service.accounting.cost import cost_of
from router_service.core.exchange import Exchange
from router_service.core.outcome import CancelledResponse
from router_service.core.usage import Usage

UNKNOWN = "unknown"
BILLS_TO_END = "bills_to_end"
# As the estimate of a prompt assumes.
BYTES_OF_A_TOKEN = 4


def cancelled_usage(
    exchange: Exchange, endpoint: Endpoint, reported: Usage | None, received_bytes: int
) -> tuple[Usage, CancelledResponse]:
    """Return the usage to bill of a stream that was left, and what was received of it.

    ``reported`` is what the provider had counted, ``received_bytes`` the size of the text that had come. A provider
    that counted after the finish reason has told all. Else the prompt is estimated by the size of the request, and the
    completion is what was received; where the provider bills to the end, it is at least as long as responses are.
    """
    policy = endpoint.cancellation or UNKNOWN
    received = -(-received_bytes // BYTES_OF_A_TOKEN)
    if reported is not None and reported.completion_tokens and exchange.outcome.finish_reason is not None:
        return reported, CancelledResponse(policy, reported.completion_tokens, False)
    usage = msgspec.structs.replace(reported) if reported is not None else Usage()
    received = max(received, usage.completion_tokens)
    usage.prompt_tokens = usage.prompt_tokens or _prompt_tokens(exchange)
    usage.completion_tokens = max(received, _usual_tokens(exchange) if policy == BILLS_TO_END else 0)
    return usage, CancelledResponse(policy, received, True)


def price_abandoned_call(exchange: Exchange) -> None:
    """Price the call of a cancelled request that no content had come from: of chat, and of its first choice alone.

    A provider that works to the end bills prompt and response, whose length is estimated. What one that stops had done
    by then is not known, and not counted.
    """
    outcome, endpoint = exchange.outcome, exchange.route.abandoned_endpoint
    if not outcome.cancelled or outcome.cancellation is not None or outcome.provider is not None or endpoint is None:
        return
    if exchange.request.task != "chat" or endpoint.price is None:
        return
    head = exchange.request.head
    policy = endpoint.cancellation or UNKNOWN
    if policy != UNKNOWN and not (head and head.stream):
        policy = BILLS_TO_END
    works_on = policy == BILLS_TO_END
    outcome.cancellation = CancelledResponse(policy, 0, works_on)
    if works_on:
        outcome.usage = Usage(_prompt_tokens(exchange), _usual_tokens(exchange))
        outcome.cost = cost_of(outcome.usage, endpoint.price)


def _prompt_tokens(exchange: Exchange) -> int:
    head = exchange.request.head
    return head.prompt_tokens(exchange.request.body_bytes) if head else 0


def _usual_tokens(exchange: Exchange) -> int:
    """Return the usual length of a response, at most the limit of the request."""
    head, usual = exchange.request.head, int(TYPICAL_OUTPUT_TOKENS)
    return min(usual, head.completion_limit) if head and head.completion_limit else usual
