"""Carry reasoning to the client and back: ``encrypted_content`` has all that its origin needs to know it again."""

from __future__ import annotations

from router_service.core.origin import PREFIX, OriginToken, read_token
from router_service.core.parts import Reasoning, ToolCall
from router_service.core.wire.responses import REASONING_FORMAT, ReasoningItem


def encrypted_content(part: Reasoning) -> str:
    """Return the token for reasoning. Clients send it back unchanged, also where the provider made none."""
    return OriginToken(
        part.origin, part.format, part.signature, part.item_id, part.encrypted, summary=part.summary
    ).write()


def signature_token(call: ToolCall, call_id: str) -> str:
    """Return the token of a reasoning item that carries the signature of the call ``call_id``.

    Clients drop unknown fields of a call and often its id, but return reasoning.
    """
    return OriginToken(call.origin, None, call.signature, call_id=call_id).write()


def read_reasoning(item: ReasoningItem) -> Reasoning | OriginToken:
    """Return the reasoning of ``item``, or the token of a call's signature.

    Encrypted text that no router wrote is OpenAI's. Of a token that was damaged on the way only the text is left.
    """
    text, is_summary = _text(item)
    sent = item.encrypted_content
    if not sent:
        return Reasoning(text=text, summary=is_summary, signature=item.signature, format=item.format)
    token = read_token(sent)
    if token is None and sent.startswith(PREFIX):
        return Reasoning(text=text, summary=is_summary)
    if token is None:
        form = item.format or REASONING_FORMAT
        return Reasoning(
            text=text, summary=is_summary, encrypted=sent, signature=item.signature, item_id=item.id, format=form
        )
    if token.call_id is not None:
        return token
    return Reasoning(
        text=text,
        summary=token.summary,
        signature=token.raw,
        item_id=token.item_id,
        origin=token.origin,
        encrypted=token.encrypted,
        format=token.format,
    )


def _text(item: ReasoningItem) -> tuple[str, bool]:
    """Return the readable text, and whether it is a summary."""
    summary = "\n\n".join(piece.text for piece in item.summary or ())
    return (summary, True) if summary else ("".join(piece.text for piece in item.content or ()), False)
