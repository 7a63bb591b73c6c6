"""Turn the sources of an answer to citations of its texts.

Source: Gemini API docs: Grounding with Google Search; types ``GroundingMetadata`` and ``Segment`` of the
``google-genai`` package 3.6.1: positions count the bytes of a part in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from router_service.core.parts import Citation

# No answer cites this often; more are left out, so that a faulty one takes no more time than it may.
MAX_CITATIONS = 1000


class CitedText(NamedTuple):
    """Hold a text of the answer with the number of its part."""

    number: int
    text: str


def grounded(metadata: dict[str, Any], texts: Sequence[CitedText]) -> Iterator[tuple[int, Citation]]:
    """Yield the index of the part that each citation belongs to, and the citation."""
    if not texts:
        return
    chunks = _objects(metadata.get("groundingChunks"))
    used: set[int] = set()
    count = 0
    for support in _objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        at, start, end = _place(segment, texts)
        indices = support.get("groundingChunkIndices")
        for number in indices if isinstance(indices, list) else ():
            source = _source(chunks, number)
            if source is not None and count < MAX_CITATIONS:
                count += 1
                used.add(number)
                quote = _text(segment.get("text"))
                yield at, Citation(url=source[0], title=source[1], cited_text=quote, start=start, end=end)
    for number in range(len(chunks)):
        source = None if number in used else _source(chunks, number)
        if source is not None and count < MAX_CITATIONS:
            count += 1
            yield texts[-1].number, Citation(url=source[0], title=source[1])


def recited(metadata: dict[str, Any], texts: Sequence[CitedText]) -> Iterator[tuple[int, Citation]]:
    """Yield the sources that the vendor says the text repeats."""
    for found in _objects(metadata.get("citationSources") or metadata.get("citations"))[:MAX_CITATIONS]:
        url = _text(found.get("uri"))
        if url is not None and texts:
            at, start, end = _place(found, texts)
            yield at, Citation(url=url, title=_text(found.get("title")), start=start, end=end)


def searches(metadata: dict[str, Any], model_version: Any) -> int:
    """Return the number of searches to pay for: before Gemini 3 a prompt is one, however often it was searched for.

    Source: Gemini Developer API pricing, "Grounding with Google Search".
    """
    queries = metadata.get("webSearchQueries")
    count = len([one for one in queries if isinstance(one, str) and one]) if isinstance(queries, list) else 0
    by_prompt = isinstance(model_version, str) and model_version.startswith(("gemini-1", "gemini-2"))
    return min(count, 1) if by_prompt else count


def _place(segment: dict[str, Any], texts: Sequence[CitedText]) -> tuple[int, int | None, int | None]:
    """Return the part that a segment lies in, and its first and its last character, exclusive.

    The vendor counts from the beginning of a part, or of all that a stream has said. The words of the segment decide.
    """
    quote = _text(segment.get("text"))
    start, end = _offset(segment.get("startIndex")), _offset(segment.get("endIndex"))
    if end is not None and end >= (start or 0):
        for one in texts:
            span = _characters(one.text, start or 0, end)
            if span is not None and (quote is None or one.text[span[0] : span[1]] == quote):
                return one.number, *span
    if quote is not None:
        for one in texts:
            found = one.text.find(quote)
            if found >= 0:
                return one.number, found, found + len(quote)
    return texts[-1].number, None, None


def _characters(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return positions in characters for those in bytes, ``None`` for ones beyond the text."""
    if text.isascii():
        return (start, end) if end <= len(text) else None
    encoded = text.encode(errors="replace")
    if end > len(encoded):
        return None
    return len(encoded[:start].decode(errors="ignore")), len(encoded[:end].decode(errors="ignore"))


def _source(chunks: Sequence[dict[str, Any]], number: Any) -> tuple[str, str | None] | None:
    """Return address and title of a chunk: a page, a place of a map, or a document that was retrieved."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(chunks):
        return None
    for kind in ("web", "maps", "retrievedContext"):
        found = chunks[number].get(kind)
        if isinstance(found, dict) and (url := _text(found.get("uri"))) is not None:
            return url, _text(found.get("title"))
    return None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one if isinstance(one, dict) else {} for one in value] if isinstance(value, list) else []


def _offset(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
