"""Describe the fields that the bodies of several APIs have in common. Bounds are those of the wire structs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router_service.core.preferences import Preferences
from router_service.core.wire.chat import Bias, Count, Penalty, Share, Whole, ZeroToTwo
from router_service.planning.service_tiers import ACCEPTED_TIERS

# A field for which the router has no service of its own.
Passed = Annotated[
    Any, Meta(description="Sent to providers of this dialect; elsewhere it is dropped, which the answer reports")
]


class TraceSchema(msgspec.Struct, kw_only=True):
    """Describe what the request belongs to; other fields are not read."""

    trace_id: str | None = None


class SharedRequestFields(msgspec.Struct, kw_only=True):
    """Describe what routing, sampling and the record read in the same way for every API."""

    models: Annotated[list[str], Meta(max_length=20, description="Tried in this order, after `model`")] | None = None
    stream: bool | None = False
    provider: Preferences | None = None
    temperature: ZeroToTwo | None = None
    top_p: Share | None = None
    top_k: Count | None = None
    top_a: Share | None = None
    min_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: ZeroToTwo | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: Whole | None = None
    stop: str | list[str] | None = None
    service_tier: Annotated[str | None, Meta(extra_json_schema={"enum": [*ACCEPTED_TIERS, None]})] = None
    user: str | None = None
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    trace: TraceSchema | None = None
    usage: Annotated[dict[str, Any] | None, Meta(description="Accepted; usage is always returned")] = None
    route: Annotated[str | None, Meta(description="Accepted; fallbacks follow `models` and `provider`")] = None
