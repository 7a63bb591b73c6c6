"""Write annotations, log probabilities and the text that stands for what an answer of this API cannot contain."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.token_logprobs import read_logprobs
from router_service.core.parts import Citation, Media, Opaque
from router_service.core.wire.chat import TokenLogprob
from router_service.core.wire.responses import DIALECT


class _UrlCitation(msgspec.Struct, tag_field="type", tag="url_citation"):
    url: str
    title: str
    start_index: int
    end_index: int


class _FileCitation(msgspec.Struct, tag_field="type", tag="file_citation"):
    file_id: str
    filename: str
    index: int


class _ContainerFileCitation(msgspec.Struct, tag_field="type", tag="container_file_citation"):
    container_id: str
    file_id: str
    filename: str
    start_index: int
    end_index: int


class _FilePath(msgspec.Struct, tag_field="type", tag="file_path"):
    file_id: str
    index: int


_annotation = msgspec.json.Decoder(_UrlCitation | _FileCitation | _ContainerFileCitation | _FilePath)
_object = msgspec.json.Decoder(dict[str, Any])


def citation_annotation(citation: Citation, length: int) -> dict[str, Any]:
    """Return the annotation of a text that has ``length`` characters so far.

    SDKs require both positions: a citation without them cites all of its text. One that came in this dialect is
    returned unchanged where it has the documented shape.
    """
    if citation.raw is not None and citation.dialect == DIALECT:
        try:
            _annotation.decode(citation.raw)
            return _object.decode(citation.raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    found: dict[str, Any] = {
        "type": "url_citation",
        "url": citation.url or "",
        "title": citation.title or citation.url or "",
        "start_index": citation.start or 0,
        "end_index": length if citation.end is None else citation.end,
    }
    return found if citation.cited_text is None else found | {"content": citation.cited_text}


def logprobs_of(raw: Raw | None) -> list[dict[str, Any]]:
    """Return the log probabilities of a piece of text; SDKs require the bytes of each token."""
    found = None if raw is None else read_logprobs(raw)
    positions = [] if found is None else (found.content or found.refusal or [])
    return [{**_token(one), "top_logprobs": [_token(other) for other in one.top_logprobs]} for one in positions]


def _token(found: TokenLogprob) -> dict[str, Any]:
    written = found.token.encode("utf-8", "replace")
    return {"token": found.token, "logprob": found.logprob, "bytes": found.bytes or list(written)}


def text_in_place(part: Media | Opaque) -> str:
    """Return the text of an item of another dialect, the link to a medium or its transcript; empty for neither."""
    if isinstance(part, Opaque):
        return part.text or ""
    if part.url:
        return f"{'!' if part.kind == 'image' else ''}[{part.kind}]({part.url})"
    return part.transcript or ""
