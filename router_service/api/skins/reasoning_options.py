"""Read what a request in the chat dialect's words asks for of reasoning."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import EXPECTED, bad_field, read_field
from router_service.core.generation import ReasoningOptions
from router_service.core.wire.chat import Effort, ReasoningObject

_FLAG = msgspec.json.Decoder(bool | None)
_EFFORT = msgspec.json.Decoder(Effort | None)
_REASONING = msgspec.json.Decoder(ReasoningObject | None)


def read_reasoning_options(fields: Mapping[str, Raw]) -> ReasoningOptions | None:
    """Return what is asked for by ``reasoning`` and its two older forms, or ``None`` if nothing is.

    Raises ``ApiError`` 400 naming the field that is malformed, and for two efforts that differ.
    """
    found = read_field(fields, "reasoning", _REASONING, "an object such as {'effort': 'high'}")
    effort = read_field(fields, "reasoning_effort", _EFFORT, EXPECTED["effort"])
    included = read_field(fields, "include_reasoning", _FLAG, "true or false")
    if found is None and effort is None and included is None:
        return None
    found = found or ReasoningObject()
    if effort is not None and found.effort is not None and effort != found.effort:
        raise bad_field(
            "reasoning_effort", f"is {effort!r} while reasoning.effort is {found.effort!r}; send one of them"
        )
    excluded = found.exclude if found.exclude is not None else included is False
    return ReasoningOptions(
        enabled=found.enabled,
        effort=found.effort or effort,
        max_tokens=found.max_tokens,
        exclude=excluded,
        summary=found.summary,
    )
