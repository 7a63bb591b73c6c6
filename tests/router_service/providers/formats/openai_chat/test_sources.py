"""Test that sources beside the choices come out as annotations, once, streamed and not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.events import Result
from router_service.core.parts import Text
from router_service.providers.formats.openai_chat.dialect import dialect_of
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.openai_chat.wire import FORMAT, chunk, folded, message, text_of

CITED = DecodeContext(generation_id="gen-1", lists_sources=True)
TAGGED = DecodeContext(generation_id="gen-1", lists_sources=True, think_tags=True)
A, B = "https://a.example/page", "https://b.example/"
PERPLEXITY = {"citations": [A, B], "search_results": [{"title": "A page", "url": A, "date": None, "snippet": "words"}]}
ZAI = {"web_search": [{"title": "A page", "link": A, "content": "words", "refer": "ref_1"}]}


def streamed(*chunks: dict[str, Any], context: DecodeContext = CITED) -> Result:
    """Return the result of a stream."""
    decoder = FORMAT.decoder(context)
    events = []
    for data in (*map(msgspec.json.encode, chunks), b"[DONE]"):
        batch = decoder.feed(None, data)
        events += batch.events() if batch is not None else []
    return folded(events + decoder.end())


def citations_of(result: Result) -> list[tuple[str | None, str | None, str | None]]:
    """Return address, title and text of the citations of the first choice."""
    parts = [part for part in result.choices[0].parts if isinstance(part, Text)]
    return [(one.url, one.title, one.cited_text) for part in parts for one in part.citations]


@pytest.mark.parametrize("context", [CITED, TAGGED])
@pytest.mark.parametrize(
    ("listed", "cited"),
    [
        (PERPLEXITY, [(A, "A page", "words"), (B, "b.example", None)]),
        (ZAI, [(A, "A page", "words")]),
        ({"citations": [A]}, [(A, "a.example", None)]),
        ({"citations": ["http://[", 1, {}, None, ""]}, [("http://[", "http://[", None)]),
        ({"citations": "none", "search_results": None}, []),
    ],
)
def test_listed_sources_are_annotations(
    listed: dict[str, Any], cited: list[tuple[str, str, str | None]], context: DecodeContext
) -> None:
    whole = folded(
        FORMAT.decode(msgspec.json.encode(message({"role": "assistant", "content": "Hi"}, **listed)), context)
    )
    repeated = streamed(chunk({"content": "H"}, **listed), chunk({"content": "i"}, "stop", **listed), context=context)
    early = streamed(chunk({"content": "Hi"}, **listed), chunk({}, "stop"), context=context)
    for result in (whole, repeated, early):
        assert text_of(result) == "Hi"
        assert citations_of(result) == cited


def test_annotations_of_the_provider_itself_are_kept_alone() -> None:
    own = {"type": "url_citation", "url_citation": {"url": B, "title": "B", "start_index": 0, "end_index": 2}}
    said = {"role": "assistant", "content": "Hi", "annotations": [own]}
    result = folded(FORMAT.decode(msgspec.json.encode(message(said, citations=[A])), CITED))
    assert citations_of(result) == [(B, "B", None)]


def test_what_is_no_completion_is_left_to_the_decoder() -> None:
    """Bytes with the name of a list in them are judged as any others."""
    decoder = FORMAT.decoder(CITED)
    assert decoder.feed(None, b'["citations"]') is None
    with pytest.raises(ApiError):
        decoder.feed(None, b'{"citations"')
    with pytest.raises(ApiError):
        FORMAT.decode(b'{"citations"', CITED)
    with pytest.raises(ApiError):
        FORMAT.decode(b'{"citations": ["x"]}', CITED)
    result = streamed(chunk({"content": "Hi"}), {"id": "c", "choices": None, "citations": [A]}, chunk({}, "stop"))
    assert citations_of(result) == [(A, "a.example", None)]


def test_the_vendors_that_list_sources_are_read_so() -> None:
    assert all(dialect_of(name).lists_sources for name in ("perplexity", "xai", "zai"))
    assert not dialect_of("openai").lists_sources
