"""Rewrite answers to the JSON that was asked for in words, at providers that cannot be made to write it.

The chunks of a stream and a completion are rewritten before they are decoded, as reasoning within tags is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.answer import Batch
from router_service.core.events import Event
from router_service.providers.formats.openai_chat.odd_types import fitted_choices
from router_service.providers.formats.openai_chat.wire import finish_reason
from router_service.providers.json_text import JsonText
from router_service.providers.wire_format import EventDecoder

_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class JsonOutputDecoder:
    """Implement ``EventDecoder``: pass the events on to ``decoder`` with text that is JSON."""

    def __init__(self, decoder: EventDecoder) -> None:
        self._decoder = decoder
        self._texts: dict[int, JsonText] = {}

    def feed(self, event: str | None, data: bytes) -> Batch | None:
        """Return what one event says."""
        return self._decoder.feed(event, _rewritten(data, "delta", self._texts))

    def end(self) -> list[Event]:
        """Return the events that close an answer whose stream has ended."""
        return self._decoder.end()


def json_body(body: bytes) -> bytes:
    """Return a completion whose texts are JSON."""
    return _rewritten(body, "message", {})


def _rewritten(data: bytes, said: str, texts: dict[int, JsonText]) -> bytes:
    try:
        found = _decode(data)
    except _FAULTS:
        return data
    listed = found.get("choices") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not all(isinstance(choice, dict) for choice in listed):
        return data
    changed = False
    for choice, fitted in zip(listed, fitted_choices(listed, ""), strict=True):
        changed = _rewrite(choice, said, texts.setdefault(fitted["index"], JsonText())) or changed
    return _encode(found) if changed else data


def _rewrite(choice: dict[str, Any], said: str, text: JsonText) -> bool:
    """Rewrite the text of ``choice``, in place; return whether it may be another now."""
    delta, native = choice.get(said), choice.get("finish_reason")
    if delta is None and native:
        delta = choice[said] = {}
    content = delta.get("content") if isinstance(delta, dict) else None
    if not isinstance(delta, dict) or not (isinstance(content, str) or native):
        return False
    written = text.feed(content) if isinstance(content, str) else ""
    if native or said == "message":
        reason = finish_reason(native, has_calls=False) if isinstance(native, str) and native else "error"
        written += text.end(is_complete=reason == "stop")
    if written != (content or ""):
        delta["content"] = written
        # The probabilities are those of tokens that the client does not see.
        choice["logprobs"] = None
    return True
