"""Carry reasoning to the client and back: ``encrypted_content`` has all that its origin needs to know it again."""

from __future__ import annotations

from router_service.core.origin import PREFIX, OriginToken, read_token
from router_service.core.parts import Reasoning, ToolCall
from router_service.core.wire.responses import REASONING_FORMAT, ReasoningItem


def encrypted_content(part: Reasoning, content: str | None = None) -> str:
    """Return the token for reasoning. Clients send it back unchanged, also where the provider made none.

    ``content`` is its readable text where that is no summary. Many clients know summaries alone and lose it, and a
    signature without its text is refused.
    """
    return OriginToken(
        part.origin, part.format, part.signature, part.item_id, part.encrypted, summary=part.summary, text=content
    ).write()


def signature_token(call: ToolCall, call_id: str) -> str:
    """Return the token of a reasoning item that carries the signature of the call ``call_id``.

    Clients drop unknown fields of a call and often its id, but return reasoning.
    """
    return OriginToken(call.origin, None, call.signature, call_id=call_id).write()


def read_reasoning(item: ReasoningItem) -> list[Reasoning] | OriginToken:
    """Return the reasoning of ``item``, one part for each of its texts, or the token of a call's signature.

    The last part has what proves the item. Encrypted text that no router wrote is OpenAI's. Of a token that was damaged
    on the way only the texts are left.
    """
    sent = item.encrypted_content
    if not sent:
        return _parts(item, Reasoning(signature=item.signature, format=item.format))
    token = read_token(sent)
    if token is None and sent.startswith(PREFIX):
        return _parts(item, Reasoning())
    if token is None:
        form = item.format or REASONING_FORMAT
        return _parts(item, Reasoning(encrypted=sent, signature=item.signature, item_id=item.id, format=form))
    if token.call_id is not None:
        return token
    return _parts(item, token.reasoning(token.text or ""))


def _parts(item: ReasoningItem, proof: Reasoning) -> list[Reasoning]:
    texts = [(piece.text, True) for piece in item.summary or ()]
    texts += [(piece.text, False) for piece in item.content or ()]
    if not texts:
        # The proof has the text that the token carried, if any.
        return [proof]
    found = [
        Reasoning(text=text, summary=summary, item_id=proof.item_id, origin=proof.origin, format=proof.format)
        for text, summary in texts
    ]
    found[-1].signature, found[-1].encrypted = proof.signature, proof.encrypted
    return found
