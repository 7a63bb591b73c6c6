"""Define the message by which workers share where a conversation was served."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from router_service.core.message_bounds import Count, Name


class ConversationMessage(msgspec.Struct, frozen=True, array_like=True):
    """Where a conversation was served at second ``at``; see ``sticky.Entry``. No ``endpoint``: it is free again."""

    digest: Annotated[bytes, Meta(max_length=64)]
    model: Name
    endpoint: Name
    at: float
    until: float
    cached: Count
    completion: Count
    misses: Count
