"""Write the parts of an answer as content blocks."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from router_service.api.skins.messages.arguments import arguments_object
from router_service.api.skins.messages.media_text import media_text
from router_service.core.origin import PREFIX, OriginToken
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.wire.anthropic import DIALECT, REASONING_FORMAT

_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


def answer_block(part: AnyPart) -> dict[str, Any] | None:
    """Return the block for a complete part, or ``None`` for one without content that this API can express."""
    match part:
        case Text() | Refusal():
            return _text_block(part)
        case Reasoning():
            return reasoning_block(part)
        case ToolCall():
            return tool_block(part) | {"input": arguments_object(part.arguments)}
        case Opaque(dialect=dialect) if dialect == DIALECT:
            block: dict[str, Any] = msgspec.json.decode(part.raw)
            return block
        case _:
            text = standing_text(part)
            return {"type": "text", "text": text} if text else None


def _text_block(part: Text | Refusal) -> dict[str, Any] | None:
    citations = [citation_object(one) for one in part.citations] if isinstance(part, Text) else []
    if not part.text and not citations:
        # Anthropic refuses empty text blocks in the history.
        return None
    block: dict[str, Any] = {"type": "text", "text": part.text}
    return block | {"citations": citations} if citations else block


def standing_text(part: AnyPart) -> str:
    """Return the text that stands for a part which assistant turns of this API cannot contain."""
    if isinstance(part, Media):
        return media_text(part)
    return (part.text or "") if isinstance(part, Opaque) else ""


def is_redacted(part: Reasoning) -> bool:
    """Return whether ``part`` is encrypted alone, with nothing to read and no other proof."""
    return part.encrypted is not None and not part.text and part.signature is None


def reasoning_block(part: Reasoning) -> dict[str, Any] | None:
    """Return the thinking or redacted thinking block for ``part``."""
    if is_redacted(part):
        return {"type": "redacted_thinking", "data": reasoning_token(part)}
    if not part.text and part.signature is None and part.item_id is None:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": reasoning_token(part)}


def reasoning_token(part: Reasoning) -> str:
    """Return the signature of a thinking block, or the data of a redacted one.

    Anthropic's own tokens of an unknown origin go as they are. Every other one names its origin, reasoning without a
    signature too: clients send the block back unchanged, and no provider takes the token for its own by mistake.
    """
    plain = part.encrypted if is_redacted(part) else part.signature
    elsewhere = part.item_id, part.origin, None if is_redacted(part) else part.encrypted
    native = elsewhere == (None, None, None) and part.format == REASONING_FORMAT and not part.summary
    if plain and native and not plain.startswith(PREFIX):
        return plain
    return OriginToken(
        part.origin, part.format, part.signature, part.item_id, part.encrypted, summary=part.summary
    ).write()


def tool_block(call: ToolCall) -> dict[str, Any]:
    """Return the block of a tool call with an empty ``input``."""
    block: dict[str, Any] = {"type": "tool_use", "id": tool_id(call), "name": call.name, "input": {}}
    return block | ((call.extras or {}).get(DIALECT) or {})


def tool_id(call: ToolCall) -> str:
    """Return the id of ``call`` in this API: its own, or a token where that has other characters or more to carry."""
    fits = _TOOL_ID.fullmatch(call.call_id) and not call.call_id.startswith(PREFIX)
    if fits and call.signature is None and call.item_id is None and call.kind == "function":
        return call.call_id
    return OriginToken(call.origin, None, call.signature, call.item_id, call_id=call.call_id, kind=call.kind).write()


def citation_object(citation: Citation) -> Any:
    """Return ``citation`` as this API writes it; another dialect's becomes one of a web search."""
    if citation.dialect == DIALECT and citation.raw is not None:
        return msgspec.json.decode(citation.raw)
    return {
        "type": "web_search_result_location",
        "url": citation.url or "",
        "title": citation.title,
        "cited_text": citation.cited_text or "",
        "encrypted_index": "",
    }
