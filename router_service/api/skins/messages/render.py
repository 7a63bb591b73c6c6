"""Write a folded answer as the JSON of a message."""

from __future__ import annotations

from typing import Any

from router_service.api.skins.messages.answer_blocks import answer_block
from router_service.core.errors import ApiError
from router_service.core.events import Finished, Result, ResultChoice
from router_service.core.outgoing_json import outgoing_json
from router_service.core.parts import Refusal
from router_service.core.usage import Usage
from router_service.core.wire.anthropic import (
    DIALECT,
    CacheCreation,
    OutputTokensDetails,
    ServerToolUse,
    StopReason,
    WireUsage,
)

_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause_turn": "pause_turn",
}
# Reasons of Anthropic's that the middle has one common name for.
_NATIVE_LENGTH: StopReason = "model_context_window_exceeded"
_TIERS = {"default": "standard", "standard": "standard", "priority": "priority", "batch": "batch"}
# Fields of a message that only Anthropic sends, in the extras of the events that hold them.
_MESSAGE_FIELDS = ("container", "context_management", "diagnostics")


def render_message(result: Result, *, generation_id: str, model: str) -> bytes:
    """Return the body for the first choice of ``result``; ``model`` is the client's name for it.

    Raises ``ApiError``: the error of an answer that broke, or 502 for one that ended with an error.
    """
    if result.error is not None:
        raise result.error
    choice = result.choices[0] if result.choices else ResultChoice()
    finished = choice.finished or Finished(choice=0, reason="error")
    message = opened_message(generation_id, model, result.usage, result.began.service_tier, result.began.extras)
    message["content"] = [block for part in choice.parts if (block := answer_block(part)) is not None]
    message |= ending(finished, refused=any(isinstance(part, Refusal) for part in choice.parts))
    return outgoing_json(message)


def message_id(generation_id: str) -> str:
    """Return the id of the message of a generation: ``gen-1-ab`` is ``msg_1_ab``."""
    return "msg_" + generation_id.removeprefix("gen-").replace("-", "_")


def opened_message(
    generation_id: str, model: str, usage: Usage | None, service_tier: str | None, extras: dict[str, Any]
) -> dict[str, Any]:
    """Return a message that has no content yet."""
    own = extras.get(DIALECT)
    fields = own if isinstance(own, dict) else {}
    return {
        "id": message_id(generation_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": message_usage(usage, service_tier),
    } | {name: fields[name] for name in _MESSAGE_FIELDS if name in fields}


def ending(finished: Finished, *, refused: bool) -> dict[str, Any]:
    """Return the fields that say why the answer ended. Raises ``ApiError`` 502 if it ended with an error."""
    if finished.reason == "error":
        native = f" ({finished.native})" if finished.native else ""
        raise ApiError("provider_unavailable", f"The provider ended the answer with an error{native}; send it again")
    reason = _REASONS[finished.reason]
    if refused:
        reason = "refusal"
    elif finished.reason == "stop" and finished.stop_sequence is not None:
        reason = "stop_sequence"
    elif finished.reason == "length" and finished.native == _NATIVE_LENGTH:
        reason = _NATIVE_LENGTH
    sequence = finished.stop_sequence if reason == "stop_sequence" else None
    found: dict[str, Any] = {"stop_reason": reason, "stop_sequence": sequence}
    details = finished.details or {}
    if reason == "refusal" and details.get("type") == "refusal":
        found["stop_details"] = details
    return found


def message_usage(usage: Usage | None, service_tier: str | None) -> WireUsage:
    """Return the counts of ``usage`` as this API splits them; no count is negative."""
    used = usage or Usage()
    read, written = used.cached_tokens, used.cache_write_tokens
    return WireUsage(
        input_tokens=max(0, used.prompt_tokens - (read or 0) - (written or 0)),
        output_tokens=used.completion_tokens,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=used.all_written_tokens,
        cache_creation=_cache_creation(used.all_written_tokens, used.cache_write_1h_tokens),
        output_tokens_details=None if used.reasoning_tokens is None else OutputTokensDetails(used.reasoning_tokens),
        server_tool_use=_server_tool_use(used),
        service_tier=_TIERS.get(service_tier or ""),  # type: ignore[arg-type]
    )


def _server_tool_use(used: Usage) -> ServerToolUse | None:
    if not used.web_searches and not used.web_fetches:
        return None
    return ServerToolUse(used.web_searches or 0, used.web_fetches or 0)


def _cache_creation(written: int | None, for_an_hour: int | None) -> CacheCreation | None:
    if written is None:
        return None
    hour = min(for_an_hour or 0, written)
    return CacheCreation(written - hour, hour)
