"""Define the batch of messages that one worker sends to the others."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from router_service.affinity.messages import ConversationMessage
from router_service.health.messages import HealthReport, InFlightMessage, OutcomeMessage


class PeerBatch(msgspec.Struct, frozen=True, array_like=True):
    """Carry messages that were collected together, ``at`` that second of the sender's monotonic clock.

    ``sender`` and the running ``number`` identify the batch when it arrives by several transports; a batch without a
    sender is always new. A worker of an older version omits ``outcomes`` and what follows, and ignores it when it
    reads.
    """

    at: float
    reports: list[HealthReport]
    conversations: list[ConversationMessage] = []
    sender: Annotated[str, Meta(max_length=64)] = ""
    number: int = 0
    outcomes: list[OutcomeMessage] = []
    in_flight: list[InFlightMessage] = []
