"""Define the batch of messages that one worker sends to the others."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from router_service.affinity.messages import ConversationMessage
from router_service.health.messages import HealthReport, InFlightMessage, OutcomeMessage


class PeerBatch(msgspec.Struct, frozen=True, array_like=True):
    """OutcomeMessage together ``at`` that second of the monotonic clock.

    ``sender`` and its running ``number`` say which batch it is, on whichever ways it comes; one without is always new.
    A worker of an older version leaves out ``outcomes`` and what follows, and reads on without.
    """

    at: float
    reports: list[HealthReport]
    conversations: list[ConversationMessage] = []
    sender: Annotated[str, Meta(max_length=64)] = ""
    number: int = 0
    outcomes: list[OutcomeMessage] = []
    under_way: list[InFlightMessage] = []
