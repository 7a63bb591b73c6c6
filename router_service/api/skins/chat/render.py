"""Render a folded answer as a chat completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from router_service.api.skins.chat import answer_fields
from router_service.api.skins.error_envelope import error_object
from router_service.api.skins.token_logprobs import merged_logprobs
from router_service.api.skins.usage_json import ChatUsage, usage_json
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Result, ResultChoice
from router_service.core.exchange import Exchange
from router_service.core.parts import AnyPart, Media, MediaKind, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.wire.chat import DIALECT


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what an answer says of itself. ``created`` is in Unix seconds, ``id`` is the generation's.

    ``provider`` is the display name of the provider, ``None`` for none.
    """

    id: str
    created: int
    model: str
    provider: str | None = None
    service_tier: str | None = None


class _SplicedChoice(msgspec.Struct, gc=False):
    index: int
    message: msgspec.Raw
    logprobs: msgspec.Raw | None
    finish_reason: str | None
    native_finish_reason: str | None


class SplicedCompletion(msgspec.Struct):
    """Hold a completion whose messages keep their bytes."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str | None
    provider: str | None
    system_fingerprint: str | None
    service_tier: str | None
    choices: list[_SplicedChoice]
    usage: ChatUsage


def render_response(
    result: Result, head: ResponseHead, usage: ChatUsage, *, exclude_reasoning: bool = False
) -> dict[str, Any]:
    """Return the completion. An answer that broke has the finish reason ``error`` and the error in its choices."""
    began = result.began
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "provider": head.provider,
        "system_fingerprint": system_fingerprint(began),
        "service_tier": head.service_tier or began.service_tier,
        "choices": [
            _choice(choice, position, head, result.error, exclude_reasoning)
            for position, choice in enumerate(result.choices)
        ],
        "usage": usage,
    }


def render_spliced(response: Batch, exchange: Exchange) -> SplicedCompletion:
    """Return the completion of verified messages."""
    began, request, outcome = response.began, exchange.request, exchange.outcome
    return SplicedCompletion(
        request.id,
        "chat.completion",
        int(request.received_at),
        outcome.model,
        outcome.provider_name,
        system_fingerprint(began) if began is not None and began.extras else None,
        outcome.service_tier,
        [
            _SplicedChoice(
                choice.index,
                choice.delta,
                None if choice.logprobs is UNSET else choice.logprobs,
                choice.finish_reason,
                choice.native_finish_reason,
            )
            for choice in response.spliced
        ],
        usage_json(exchange),
    )


def system_fingerprint(began: Began) -> str | None:
    """Return the fingerprint that a provider of this dialect sent."""
    own = began.extras.get(DIALECT)
    found = own.get("system_fingerprint") if isinstance(own, dict) else None
    return found if isinstance(found, str) else None


def _choice(
    choice: ResultChoice, position: int, head: ResponseHead, error: ApiError | None, exclude_reasoning: bool
) -> dict[str, Any]:
    finished = choice.finished
    index = position if finished is None else finished.choice
    logprobs = merged_logprobs(choice.logprobs)
    found: dict[str, Any] = {
        "index": index,
        "message": _message(choice.parts, head, index, exclude_reasoning),
        "logprobs": None if logprobs is None else msgspec.to_builtins(logprobs),
    }
    if finished is None:
        failure = error or ApiError("provider_unavailable", "The provider's answer ended before it was finished")
        return found | {"finish_reason": "error", "native_finish_reason": None, "error": error_object(failure)}
    return found | {
        "finish_reason": answer_fields.finish_reason(finished.reason),
        "native_finish_reason": finished.native,
    }


def _message(parts: Sequence[AnyPart], head: ResponseHead, choice: int, exclude_reasoning: bool) -> dict[str, Any]:
    """Return the message; a field that the answer does not need is left out, but for those that all SDKs read."""
    content, annotations = _content(parts)
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    reasoning = [] if exclude_reasoning else [part.text for part in parts if isinstance(part, Reasoning)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content,
        "refusal": "".join(refusals) or None,
        "reasoning": "".join(reasoning) or None,
    }
    calls = [part for part in parts if isinstance(part, ToolCall) and part.kind != "hosted"]
    ids = [answer_fields.call_id_of(call, head.id, choice, index) for index, call in enumerate(calls)]
    details = [] if exclude_reasoning else _details(parts, list(zip(calls, ids, strict=True)))
    images = [one for part in _media(parts, "image") if (one := answer_fields.image(part))]
    spoken = next(iter(_media(parts, "audio")), None)
    fields: dict[str, Any] = {
        "reasoning_details": details,
        "tool_calls": [answer_fields.tool_call(call, call_id) for call, call_id in zip(calls, ids, strict=True)],
        "annotations": annotations,
        "images": images,
    }
    if spoken is not None:
        fields["audio"] = answer_fields.audio(spoken, answer_fields.audio_id_of(spoken, head.id, choice), head.created)
    return message | {name: value for name, value in fields.items() if value}


def _media(parts: Sequence[AnyPart], kind: MediaKind) -> list[Media]:
    return [part for part in parts if isinstance(part, Media) and part.kind == kind]


def _content(parts: Sequence[AnyPart]) -> tuple[str | None, list[dict[str, Any]]]:
    """Return the text of all parts, ``None`` if there is none, and the annotations on it."""
    text, annotations = "", []
    has_text = False
    for part in parts:
        if isinstance(part, Text):
            annotations += [answer_fields.annotation(one, len(text), len(part.text)) for one in part.citations]
            text, has_text = text + part.text, True
        elif isinstance(part, Opaque) and part.text and answer_fields.server_tool_detail(part, 0) is None:
            text, has_text = text + part.text, True
    return (text if has_text else None), annotations


def _details(parts: Sequence[AnyPart], calls: Sequence[tuple[ToolCall, str]]) -> list[dict[str, Any]]:
    """Return all details, numbered by part: the reasoning in order, then the signatures of calls."""
    found: list[dict[str, Any]] = []
    index = 0
    for part in parts:
        if isinstance(part, Reasoning):
            entries = answer_fields.reasoning_details(part, index)
            found += [msgspec.to_builtins(entry) for entry in entries]
            index += bool(entries)
        elif isinstance(part, Opaque) and (own := answer_fields.server_tool_detail(part, index)) is not None:
            found.append(own)
            index += 1
    for call, call_id in calls:
        if (signature := answer_fields.call_signature(call, call_id, index)) is not None:
            found.append(msgspec.to_builtins(signature))
            index += 1
    return found
