"""Translate the body of a rerank request to the canonical one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from router_service.api.skins.field_errors import bad_field, decode_field, read_field
from router_service.api.skins.media_urls import medium_at
from router_service.api.skins.task_body import extras_of
from router_service.core.rerank import RerankDocument, RerankRequest

# Cohere's limit. Source: Cohere docs, "Best Practices for using Rerank" (2026-11).
MAX_DOCUMENTS = 10_000
_EXPECTED = "an array of strings, or of objects with text, image or both"


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    text: str | None = None
    image: str | None = None


_TEXT = msgspec.json.Decoder(str)
_DOCUMENTS = msgspec.json.Decoder(list[str | _Document])
_TOP_N = msgspec.json.Decoder(Annotated[int, Meta(ge=1)] | None)
_FLAG = msgspec.json.Decoder(bool | None)
# Earlier versions of Cohere's API have ``return_documents``, and so do others; the documents are the router's own.
_READ = frozenset({"documents", "query", "return_documents", "top_n", "user"})


def parse_rerank(fields: Mapping[str, Raw]) -> RerankRequest:
    """Translate the top-level ``fields`` of a body. Raises ``ApiError`` 400 naming what to change."""
    query = read_field(fields, "query", _TEXT, "the text by which documents are ranked")
    if not query:
        raise bad_field("query", "is missing or empty; send the text by which documents are ranked")
    if "documents" not in fields:
        raise bad_field("documents", f"is missing; send {_EXPECTED}")
    documents = decode_field(fields["documents"], _DOCUMENTS, "documents", _EXPECTED)
    if not documents:
        raise bad_field("documents", "is an empty array; send at least one document")
    if len(documents) > MAX_DOCUMENTS:
        raise bad_field("documents", f"has {len(documents):,} documents; send at most {MAX_DOCUMENTS:,} in one request")
    return RerankRequest(
        query=query,
        documents=[_document(one, f"documents[{place}]") for place, one in enumerate(documents)],
        top_n=read_field(fields, "top_n", _TOP_N, "a whole number of at least 1"),
        return_documents=read_field(fields, "return_documents", _FLAG, "true or false") is not False,
        extras=extras_of(fields, _READ),
    )


def _document(one: str | _Document, where: str) -> RerankDocument:
    if isinstance(one, str):
        if not one:
            raise bad_field(where, "is an empty string; send text, or leave the document out")
        return RerankDocument(text=one)
    if not one.text and not one.image:
        raise bad_field(where, "has neither text nor image; send one of them")
    image = medium_at("image", one.image) if one.image else None
    return RerankDocument(text=one.text or None, image=image, image_source=one.image or None)
