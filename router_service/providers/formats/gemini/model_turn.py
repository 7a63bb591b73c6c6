"""Gather the parts of one turn of the model, each with the signature that it came with.

A signature of a text or of an image is a part of its own in the middle, after what it signs; a client API that keeps
reasoning apart from content gives it back before. That of an image then finds it by its number.
Source: Gemini API docs: Thought signatures ("return the entire response with all parts back to the model", "never merge
a part that has a signature with one that does not").
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.parts import CacheMark

Body = dict[str, Any]
_MEDIA = {"inlineData", "fileData"}


class SentPart(msgspec.Struct):
    """Hold a part to send. ``call_id`` pairs calls and responses, ``belongs_to`` names the response of a medium.

    ``is_signable`` is true for what a signature that stands alone may belong to. ``mark`` asks to cache the prompt up
    to the part.
    """

    body: Body
    call_id: str | None = None
    belongs_to: str | None = None
    is_signable: bool = False
    mark: CacheMark | None = None


class ModelTurn:
    """Collect one turn."""

    def __init__(self) -> None:
        self._found: list[SentPart] = []
        self._waiting: list[str] = []
        self._of_media: dict[int, str] = {}
        self._media = 0

    def say(self, body: Body | None, signature: str | None) -> None:
        """Add text or a medium; one that is unsigned takes the signature that waits for it."""
        if body is None:
            if signature is not None:
                self.seal(signature)
            return
        if body.keys() & _MEDIA:
            signature = signature or self._of_media.pop(self._media, None)
            self._media += 1
        if signature is None and self._waiting:
            signature = self._waiting.pop(0)
        self._found.append(SentPart(_signed(body, signature), is_signable=signature is None))

    def think(self, text: str, signature: str | None) -> None:
        """Add a thought."""
        self._found.append(SentPart(_signed({"text": text, "thought": True}, signature)))

    def seal(self, signature: str, medium: int | None = None) -> None:
        """Sign the part before, or else the next one that is unsigned, or the ``medium`` of that number."""
        last = self._found[-1] if self._found else None
        if last is not None and last.is_signable:
            last.body["thoughtSignature"] = signature
            last.is_signable = False
        elif medium is not None:
            self._of_media[medium] = signature
        else:
            self._waiting.append(signature)

    def call(self, body: Body, signature: str | None, call_id: str) -> None:
        """Add a call."""
        self._found.append(SentPart(_signed(body, signature), call_id=call_id))

    def add(self, body: Body) -> None:
        """Add a part that is complete."""
        self._found.append(SentPart(body))

    def mark(self, mark: CacheMark) -> None:
        """Mark the part that was added last."""
        if self._found:
            self._found[-1].mark = mark

    def parts(self) -> list[SentPart]:
        """Return the parts; a signature whose part is gone stands in an empty text, as the vendor may send one."""
        alone = [
            SentPart({"text": "", "thoughtSignature": signature})
            for signature in (*self._waiting, *self._of_media.values())
        ]
        first = next((at for at, sent in enumerate(self._found) if "functionCall" in sent.body), len(self._found))
        return [*self._found[:first], *alone, *self._found[first:]]


def _signed(body: Body, signature: str | None) -> Body:
    return body if signature is None else body | {"thoughtSignature": signature}
