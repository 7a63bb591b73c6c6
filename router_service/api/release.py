"""Free a request whose answer has begun: a stream may last for minutes, and its prompt may be large."""

from __future__ import annotations

import msgspec

from router_service.affinity.conversation import asks_for_hour_cache
from router_service.core.exchange import Exchange
from router_service.core.request import Head, ReleasedRequest
from router_service.core.request_source import RequestSource
from router_service.telemetry.request_columns import input_media

# Below this size of a body, what would be freed is not worth the time.
MIN_RELEASED_BYTES = 512
# Fields that settling a request reads, beside the tools for which calls are judged.
_KEPT_FIELDS = ("reasoning", "reasoning_effort", "response_format", "user")


def release(exchange: Exchange, source: RequestSource) -> None:
    """Free the body of ``exchange``, its messages and their parts, and keep what is read when it is settled.

    The attempt must be committed, because nothing can be dispatched afterwards.
    """
    head = exchange.request.head
    if head is None:
        return
    kept = _KEPT_FIELDS if exchange.outcome.tool_calls is None else (*_KEPT_FIELDS, "tools")
    left = msgspec.structs.replace(
        head,
        # A raw field refers to the body that it was read from; a copy does not.
        fields={name: head.fields[name].copy() for name in kept if name in head.fields},
        messages=b"",
        released=head.released or _found_in(head),
    )
    exchange.request = exchange.request.released(left)
    source.release()


def search_large(exchange: Exchange) -> None:
    """Search the messages of a large request, in its thread, for what is read when it is settled."""
    head = exchange.request.head
    assert head is not None
    exchange.request = exchange.request.with_head(msgspec.structs.replace(head, released=_found_in(head)))


def _found_in(head: Head) -> ReleasedRequest:
    return ReleasedRequest(input_media(head.messages, head.modality), asks_for_hour_cache(head))
