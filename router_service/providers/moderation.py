"""Recognise a provider's refusal of content in an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Statuses with which providers refuse content; with any other a message about content means something else.
STATUSES = frozenset({400, 403, 422, 451})
# Parts of messages, in lower case, of providers whose code does not mention content:
PHRASES = (
    "content management policy",  # Azure, 400
    "content filtering policy",  # Anthropic, 400 invalid_request_error
    "content exists risk",  # DeepSeek, 400 invalid_request_error
    "content violates usage guidelines",  # xAI, 403
    "flagged as potentially violating our usage policy",  # OpenAI's reasoning models, 400 invalid_prompt
)


def refuses_content(status: int, message: str, body: Mapping[str, Any]) -> bool:
    """Return whether a failed response refuses the content, by its message or by the reference's moderation fields."""
    if status not in STATUSES:
        return False
    if any(phrase in message.lower() for phrase in PHRASES):
        return True
    metadata = body.get("metadata")
    return isinstance(metadata, dict) and ("flagged_input" in metadata or "reasons" in metadata)
