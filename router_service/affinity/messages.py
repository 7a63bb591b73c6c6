"""Define the message by which workers share which endpoint served a conversation."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from router_service.core.message_bounds import Count, Name


class ConversationMessage(msgspec.Struct, frozen=True, array_like=True):
    """Report the endpoint that served a conversation at second ``at``; the other fields are those of ``StickyEntry``.

    An empty ``endpoint`` reports that the conversation has left the table.
    """

    digest: Annotated[bytes, Meta(max_length=64)]
    model: Name
    endpoint: Name
    at: float
    until: float
    cached: Count
    completion: Count
    misses: Count
