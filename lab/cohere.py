"""Implement the provider's side of Cohere's embed and rerank, version 2, and refuse what Cohere refuses.

Sources: the ``cohere`` package 7.3 (``v2/client.py`` and the types beside it), read on 2026-11-29; Cohere docs,
"Errors", read on 2026-11-30 in the edition of 2025-11-08, whose tables have the sentences. Those tables lack
those on the inputs of embed that exclude each other, on ``output_dimension``, on data URIs and on unknown fields.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint
from lab.embeddings import as_bits, as_int8, as_uint8, as_unsigned_bits, packed, unit_vector
from lab.offers import offered
from lab.openai_embeddings import spoil
from lab.shapes import RequestRefused
from lab.text import CHARACTERS_OF_A_TOKEN

MAX_TEXTS = 96
MAX_DOCUMENTS = 10_000
DOCUMENTS_OF_A_UNIT, TOKENS_OF_A_CHUNK = 100, 500
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
DIMENSIONS_OF_V4 = (256, 512, 1024, 1536)
FAILURES = {
    400: "invalid request",
    401: "invalid api token",
    404: "404 page not found",
    429: "You are past the per minute request limit, please wait and try again later.",
    503: "the service is unavailable, please try again later",
}
_WORD = re.compile(r"\w+")
_EMBED = frozenset(
    {
        "model", "input_type", "texts", "images", "inputs", "max_tokens", "output_dimension", "embedding_types",
        "truncate", "priority",
    }
)  # fmt: skip
# What a vector becomes, by ``embedding_types``.
VECTORS: Mapping[str, Callable[[Sequence[float]], Any]] = {
    "float": list, "base64": packed, "int8": as_int8, "uint8": as_uint8, "binary": as_bits, "ubinary": as_unsigned_bits,
}  # fmt: skip
_RERANK = frozenset({"model", "query", "documents", "top_n", "max_tokens_per_doc", "relevant_spans", "priority"})


class CohereErrors:
    """Implement ``ErrorWire``: the body of an error is an id and a message."""

    vendors = frozenset({"cohere"})
    not_json = "invalid json syntax: invalid character in the body"

    def error(self, status: int) -> dict[str, Any]:
        return {"id": new_id(f"error {status}"), "message": f"planted {status}"}

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:
        return {"id": new_id(request_id), "message": refused.message}

    def failure(self, status: int) -> RequestRefused:
        return RequestRefused(FAILURES.get(status, "internal server error"), status=status)


class CohereEmbedWire(CohereErrors):
    """Implement ``TaskWire`` for ``/embed``."""

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        model = _known(body, headers, _EMBED, "embeddings")
        given = [name for name in ("texts", "images", "inputs") if body.get(name)]
        if len(given) != 1:
            raise RequestRefused("invalid request: exactly one of texts, images or inputs must be provided")
        count = len(body[given[0]])
        if count > MAX_TEXTS:
            raise RequestRefused(
                f"invalid request: total number of {given[0]} must be at most {MAX_TEXTS} - received {count}"
            )
        if body.get("input_type") not in INPUT_TYPES:
            raise RequestRefused("invalid request: valid input_type must be provided with the provided model")
        dimension = body.get("output_dimension")
        if dimension is not None and "dimensions" not in model.supported_parameters:
            raise RequestRefused("invalid request: output_dimension is not supported by the provided model")
        if dimension is not None and dimension not in DIMENSIONS_OF_V4:
            raise RequestRefused(f"invalid request: output_dimension must be one of {list(DIMENSIONS_OF_V4)}")
        for one in body.get("inputs") or ():
            for part in one["content"]:
                if part["type"] == "image_url" and not part["image_url"]["url"].startswith("data:image/"):
                    raise RequestRefused("invalid request: image must be a valid data URI")

    def respond(self, body: dict[str, Any], spoiled: str | None) -> dict[str, Any]:
        texts = [_content_text(one) for one in body.get("inputs") or ()]
        texts += [*(body.get("texts") or ()), *(body.get("images") or ())]
        model = offered("cohere", "embeddings").get(body["model"])
        known = load_catalogue().models[model.model].dimensions if model else None
        dimensions = body.get("output_dimension") or known or DIMENSIONS_OF_V4[-1]
        vectors = spoil([unit_vector(text, dimensions) for text in texts], spoiled)
        kinds = body.get("embedding_types") or ["float"]
        written = {kind: [VECTORS[kind](one) for one in vectors] for kind in kinds if kind in VECTORS}
        tokens = sum(_tokens(text) for text in texts)
        return {
            "id": new_id("".join(texts)),
            "response_type": "embeddings_by_type",
            "embeddings": written,
            "texts": body.get("texts") or [],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        }


class CohereRerankWire(CohereErrors):
    """Implement ``TaskWire`` for ``/rerank``. A document is as relevant as the share of the query's words it has."""

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        _known(body, headers, _RERANK, "rerank")
        if not str(body.get("query") or "").strip():
            raise RequestRefused("invalid request: query must not be empty or be only whitespace")
        documents = body.get("documents")
        if not isinstance(documents, list) or not documents:
            raise RequestRefused("invalid request: list of documents must not be empty")
        if len(documents) > MAX_DOCUMENTS:
            raise RequestRefused(
                "invalid request: number of total max chunks (number of documents * max chunks per doc) must be less "
                f"than {MAX_DOCUMENTS}"
            )
        if not all(isinstance(one, str) for one in documents):
            raise RequestRefused("invalid request: documents must be strings", status=422)
        if body.get("top_n") is not None and body["top_n"] < 1:
            raise RequestRefused(
                f"invalid request: return_top_n is invalid, value must be between 1 and {len(documents)}"
            )

    def respond(self, body: dict[str, Any], spoiled: str | None) -> dict[str, Any]:
        documents = body["documents"]
        scores = [(_relevance(body["query"], text), place) for place, text in enumerate(documents)]
        best = sorted(scores, key=lambda one: (-one[0], one[1]))[: body.get("top_n") or len(documents)]
        rows = [{"index": place, "relevance_score": score} for score, place in best]
        return {
            "id": new_id(body["query"]),
            "results": rows[1:] if spoiled == "missing_vector" else rows,
            "meta": {
                "api_version": {"version": "2"},
                "billed_units": {"search_units": search_units(body["query"], documents)},
            },
        }


def search_units(query: str, documents: Sequence[str]) -> int:
    """Return the units that are billed: 100 documents each, where every 500 tokens of one, with the query, count."""
    chunks = sum(math.ceil((_tokens(query) + _tokens(text)) / TOKENS_OF_A_CHUNK) for text in documents)
    return math.ceil(chunks / DOCUMENTS_OF_A_UNIT)


def _relevance(query: str, document: str) -> float:
    wanted, found = set(_WORD.findall(query.lower())), set(_WORD.findall(document.lower()))
    shared = len(wanted & found) / len(wanted) if wanted else 0.0
    # A small part that depends on the text makes equal shares differ.
    return round(0.01 + 0.9 * shared + 0.05 * random.Random(f"{query}/{document}").random(), 6)


def check_cohere_fields(body: dict[str, Any], headers: Mapping[str, str], fields: frozenset[str]) -> None:
    """Raise ``RequestRefused`` for a request without a key, or with a field that is none of ``fields``."""
    if not headers.get("authorization"):
        raise RequestRefused("no api key supplied", status=401)
    if unknown := sorted(set(body) - fields):
        raise RequestRefused(
            f"invalid request: unknown field: parameter '{unknown[0]}' is not a valid field", status=422
        )


def _known(body: dict[str, Any], headers: Mapping[str, str], fields: frozenset[str], task: str) -> Endpoint:
    check_cohere_fields(body, headers, fields)
    endpoint = offered("cohere", task).get(str(body.get("model")))
    if endpoint is None:
        message = (
            f"model '{body.get('model')}' not found, make sure the correct model ID was used and that you have access "
            "to the model."
        )
        raise RequestRefused(message, status=404)
    return endpoint


def _content_text(one: dict[str, Any]) -> str:
    return "\n".join(part.get("text") or part["image_url"]["url"] for part in one["content"])


def _tokens(text: str) -> int:
    return max(1, len(text) // CHARACTERS_OF_A_TOKEN)


def new_id(seed: str) -> str:
    """Return an id in Cohere's form, which ``seed`` decides."""
    return str(UUID(int=random.Random(seed).getrandbits(128), version=4))
