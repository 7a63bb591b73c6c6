"""Recognise that a provider refuses the tokens of earlier reasoning, and take them out of a request.

Signatures and encrypted reasoning are bound to the account that made them. A provider reads them only when it gets
them, so a conversation that moves to another account of the same provider is refused first and sent again without.

Sources: Anthropic docs: Extended thinking ("Invalid `signature` in `thinking` block"), errors in issues of
anthropics/claude-code; OpenAI's code ``invalid_encrypted_content``; Gemini API docs: Thought signatures.
"""

from __future__ import annotations

import re

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import AnyPart, Reasoning
from router_service.providers.failures import RAW_LIMIT

_REFUSED = re.compile(
    r"invalid.{0,40}signature|signature.{0,80}(?:invalid|not valid|could not be)"
    r"|invalid.{0,40}(?:`data`|encrypted.content)|encrypted.content.{0,400}(?:could not be|cannot be|invalid|not valid)"
    r"|corrupted.{0,40}signature"
    r"|thinking` blocks.{0,120}cannot be modified",
    re.DOTALL,
)


def refuses_tokens(error: ApiError) -> bool:
    """Return whether the provider's ``error`` is about the tokens of reasoning that the request has."""
    if error.upstream_status not in (400, 422):
        return False
    return _REFUSED.search(error.message[:RAW_LIMIT].lower()) is not None


def without_tokens(request: GenerationRequest) -> GenerationRequest | None:
    """Return ``request`` with the readable text of its reasoning alone, or ``None`` if it has no tokens."""
    messages = [_without_tokens(message) for message in request.messages]
    if all(new is old for new, old in zip(messages, request.messages, strict=True)):
        return None
    return msgspec.structs.replace(request, messages=messages)


def _without_tokens(message: Message) -> Message:
    parts = [_readable(part) for part in message.parts]
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return message
    return msgspec.structs.replace(message, parts=[part for part in parts if part is not None])


def _readable(part: AnyPart) -> AnyPart | None:
    if isinstance(part, Reasoning):
        if part.signature is None and part.encrypted is None:
            return part
        return msgspec.structs.replace(part, signature=None, encrypted=None, item_id=None) if part.text else None
    return part if part.signature is None else msgspec.structs.replace(part, signature=None)
