"""Define a request to rank documents by a query, and its result."""

from __future__ import annotations

import msgspec

from router_service.core.parts import Media


class RerankDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a document: text, an image or both. ``image_source`` is the image as the client wrote it."""

    text: str | None = None
    image: Media | None = None
    image_source: str | None = None


class RerankRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the relevance of ``documents`` to ``query``, of the ``top_n`` most relevant ones or of all.

    ``return_documents`` is false for a client that wants no documents in the answer. ``extras`` are top-level fields
    that the middle does not know, as JSON.
    """

    query: str
    documents: list[RerankDocument]
    top_n: int | None = None
    return_documents: bool = True
    extras: dict[str, msgspec.Raw] = {}

    @property
    def wanted(self) -> int:
        """Return how many documents the result has."""
        return len(self.documents) if self.top_n is None else min(self.top_n, len(self.documents))


class RankedDocument(msgspec.Struct, frozen=True):
    """Hold the place of a document in the request, and its relevance: the higher, the more relevant."""

    index: int
    score: float


class RerankResult(msgspec.Struct, frozen=True):
    """Hold the ranked documents, the most relevant first."""

    ranked: list[RankedDocument]
