"""Turn the sources that a provider lists beside the choices to annotations of the text.

Perplexity repeats ``citations`` and ``search_results`` in the chunks of a stream, xAI sends ``citations`` in the last
one, Z.AI ``web_search``. The chunks and a completion are rewritten before they are decoded: the message, or the chunk
with the finish reason, gets an annotation for each source. The places in the text are not told and are 0.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from router_service.core.answer import Batch
from router_service.core.events import Event
from router_service.providers.wire_format import EventDecoder

_NAMES = ("search_results", "web_search", "citations")
_WRITTEN = tuple(f'"{name}"'.encode() for name in _NAMES)
_FINISH = b'"finish_reason"'
_MAX_SOURCES = 200
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class SourceDecoder:
    """Implement ``EventDecoder``: pass the events on to ``decoder``, the last chunk of a choice with annotations."""

    def __init__(self, decoder: EventDecoder) -> None:
        self._decoder = decoder
        self._sources: dict[str, dict[str, Any]] = {}

    def feed(self, event: str | None, data: bytes) -> Batch | None:
        """Return what one event says."""
        return self._decoder.feed(event, self._annotated(data) if _may_matter(data, self._sources) else data)

    def end(self) -> list[Event]:
        """Return the events that close an answer whose stream has ended."""
        return self._decoder.end()

    def _annotated(self, data: bytes) -> bytes:
        try:
            found = _decode(data)
        except _FAULTS:
            return data
        if not isinstance(found, dict):
            return data
        self._sources |= sources_of(found)
        listed = found.get("choices")
        choices = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        ended = [choice for choice in choices if choice.get("finish_reason")]
        if not ended or not self._sources:
            return data
        for choice in ended:
            _annotate(choice, "delta", self._sources)
        return _encode(found)


def annotated_body(body: bytes) -> bytes:
    """Return a completion whose messages have the sources of ``body`` as annotations."""
    if not any(name in body for name in _WRITTEN):
        return body
    try:
        found = _decode(body)
    except _FAULTS:
        return body
    sources = sources_of(found) if isinstance(found, dict) else {}
    choices = found.get("choices") if sources else None
    if not isinstance(choices, list):
        return body
    for choice in choices:
        if isinstance(choice, dict):
            _annotate(choice, "message", sources)
    return _encode(found)


def sources_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the annotations for the sources of a completion or chunk by address; the first list with titles wins."""
    sources: dict[str, dict[str, Any]] = {}
    for name in _NAMES:
        listed = found.get(name)
        for source in listed[:_MAX_SOURCES] if isinstance(listed, list) else ():
            if (made := _annotation(source)) is not None:
                sources.setdefault(made["url_citation"]["url"], made)
    return sources


def _annotation(source: Any) -> dict[str, Any] | None:
    about = source if isinstance(source, dict) else {"url": source}
    url = about.get("url") or about.get("link")
    if not isinstance(url, str) or not url:
        return None
    title, content = about.get("title"), about.get("snippet") or about.get("content")
    cited = {"url": url, "title": title if isinstance(title, str) and title else _host(url)}
    cited |= {"content": content} if isinstance(content, str) and content else {}
    return {"type": "url_citation", "url_citation": {**cited, "start_index": 0, "end_index": 0}}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _annotate(choice: dict[str, Any], said: str, sources: dict[str, dict[str, Any]]) -> None:
    message = choice.get(said)
    if message is None and said == "delta":
        message = choice[said] = {}
    if isinstance(message, dict) and not message.get("annotations"):
        message["annotations"] = list(sources.values())


def _may_matter(data: bytes, sources: dict[str, dict[str, Any]]) -> bool:
    return (bool(sources) and _FINISH in data) or any(name in data for name in _WRITTEN)
