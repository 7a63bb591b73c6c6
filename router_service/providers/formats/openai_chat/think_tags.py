"""Split reasoning within ``<think>`` at the beginning of an answer's text, for servers that do not split it themselves.

The chunks of a stream and a completion are rewritten before they are decoded: the text within the tags becomes
``reasoning_content``. A chunk after the reasoning is passed on as it came.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.answer import Batch
from router_service.core.events import Event
from router_service.providers.formats.openai_chat.odd_types import fitted_choices
from router_service.providers.wire_format import DecodeContext, EventDecoder

_OPEN, _CLOSE = "<think>", "</think>"
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class ThinkSplitter:
    """Split the text of one choice, which comes in pieces. ``is_over`` is true once all that follows is text."""

    __slots__ = ("_held", "_inside", "_is_fresh", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._inside = False
        self._held = ""
        # White space between a tag and what it sets apart is layout.
        self._is_fresh = True

    def split(self, piece: str) -> tuple[str, str]:
        """Return what ``piece`` adds to the reasoning and to the text; the beginning of a tag is kept for later."""
        held, self._held = self._held + piece, ""
        reasoning = ""
        if not self._inside and not self.is_over:
            begun = held.lstrip()
            if begun.startswith(_OPEN):
                self._inside, self._is_fresh, held = True, True, begun[len(_OPEN) :]
            elif _OPEN.startswith(begun):
                self._held = held
                return "", ""
            else:
                self.is_over, self._is_fresh = True, False
        if self._inside:
            reasoning, closed, rest = held.partition(_CLOSE)
            if not closed:
                kept = _beginning_of(_CLOSE, held)
                self._held = held[len(held) - kept :]
                return self._fresh(held[: len(held) - kept]), ""
            reasoning = self._fresh(reasoning)
            self._inside, self.is_over, self._is_fresh, held = False, True, True, rest
        return reasoning, self._fresh(held)

    def flush(self) -> tuple[str, str]:
        """Return what was kept of a tag that was none, as the end of the reasoning or of the text."""
        held, self._held = self._held, ""
        return (held, "") if self._inside else ("", held)

    @property
    def passes(self) -> bool:
        """Return whether pieces are now passed on unchanged."""
        return self.is_over and not self._is_fresh

    def _fresh(self, text: str) -> str:
        if self._is_fresh:
            text = text.lstrip()
            self._is_fresh = not text
        return text


def _beginning_of(tag: str, text: str) -> int:
    """Return the length of the longest end of ``text`` that begins ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


class ThinkTagDecoder:
    """Implement ``EventDecoder`` for streams whose text may begin with reasoning within tags."""

    def __init__(self, context: DecodeContext, decoder: EventDecoder) -> None:
        self._decoder = decoder
        self._only = context.choices == 1
        self._splitters: dict[int, ThinkSplitter] = {}
        self._passes = False

    def feed(self, event: str | None, data: bytes) -> Batch | None:
        """Return what one event says."""
        return self._decoder.feed(event, data if self._passes else self._split(data))

    def end(self) -> list[Event]:
        """Return the events that close an answer whose stream has ended."""
        return self._decoder.end()

    def _split(self, data: bytes) -> bytes:
        try:
            found = _decode(data)
        except _FAULTS:
            return data
        if not isinstance(found, dict) or not split_choices(found, "delta", self._splitters):
            return data
        self._passes = self._only and all(splitter.passes for splitter in self._splitters.values())
        return _encode(found)


def split_body(body: bytes) -> bytes:
    """Return a completion with the reasoning of its messages apart from their text."""
    try:
        found = _decode(body)
    except _FAULTS:
        return body
    if not isinstance(found, dict) or not split_choices(found, "message", {}):
        return body
    return _encode(found)


def split_choices(found: dict[str, Any], said: str, splitters: dict[int, ThinkSplitter]) -> bool:
    """Split the text of the choices of ``found``, in place; return whether there was any."""
    has_text = False
    listed = found.get("choices")
    choices = listed if isinstance(listed, list) and all(isinstance(choice, dict) for choice in listed) else []
    for choice, fitted in zip(choices, fitted_choices(choices, ""), strict=True):
        delta = choice.get(said, choice.get("message"))
        if not isinstance(delta, dict):
            delta = choice[said] = {}
        is_last = said == "message" or bool(choice.get("finish_reason")) or "message" in choice
        index = fitted["index"]
        splitter = splitters.get(index)
        content = delta.get("content")
        if splitter is None:
            if not isinstance(content, str) or not content:
                continue
            splitter = splitters[index] = ThinkSplitter()
        pieces = [splitter.split(content)] if isinstance(content, str) else []
        pieces += [splitter.flush()] if is_last else []
        if not pieces:
            continue
        has_text = True
        thought, text = ("".join(parts) for parts in zip(*pieces, strict=True))
        if isinstance(content, str) or text:
            delta["content"] = text
        if thought:
            own = delta.get("reasoning_content")
            delta["reasoning_content"] = f"{own if isinstance(own, str) else ''}{thought}"
    return has_text
