"""Translate embeddings to and from Google's ``batchEmbedContents``, and ``predict`` of Vertex AI.

Sources, read 2026-11-30: Gemini API reference: models.batchEmbedContents, TaskType; Gemini API docs: Embeddings (models
after the first embed pictures, and read what vectors are for from the text); Vertex AI reference: Text embeddings API;
for the bounds of a batch langchain-ai/langchainjs (#4491), GoogleCloudPlatform/generative-ai (#3040).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.embeddings import EmbeddingInput, EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.http_request import HttpRequest
from router_service.core.parts import Media, Text
from router_service.core.usage import Usage
from router_service.providers.counts import token_count
from router_service.providers.formats.gemini.dialect import gemini_dialect_at
from router_service.providers.formats.gemini.errors import error_reported, gemini_error
from router_service.providers.formats.gemini.media import Part, media_part
from router_service.providers.task_format import EncodedTask, completed, read_json, unusable
from router_service.providers.vectors import in_order, read_vector

TASK_TYPES = frozenset(
    {
        "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION", "CLUSTERING",
        "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY",
    }
)  # fmt: skip
# What other vendors call the same.
_OTHER_NAMES = {
    "SEARCH_QUERY": "RETRIEVAL_QUERY",
    "SEARCH_DOCUMENT": "RETRIEVAL_DOCUMENT",
    "QUERY": "RETRIEVAL_QUERY",
    "DOCUMENT": "RETRIEVAL_DOCUMENT",
}
# Fields of ``predict`` that hold for all of its inputs.
_PARAMETERS = frozenset({"autoTruncate", "auto_truncate"})
_encode = msgspec.json.Encoder().encode


class GeminiEmbeddings:
    """Implement ``TaskFormat`` for embeddings."""

    def encode(self, asked: EmbeddingsRequest, endpoint: Endpoint) -> EncodedTask:
        dialect, dropped = gemini_dialect_at(endpoint), {"user"} if asked.user is not None else set()
        if len(asked.inputs) > dialect.max_inputs:
            raise ApiError(
                "invalid_request",
                f"input has {len(asked.inputs):,} inputs, but {endpoint.provider_name} embeds at most "
                f"{dialect.max_inputs} in one request; send fewer",
            )
        name, parts = endpoint.upstream_model, [_parts(one, at, endpoint) for at, one in enumerate(asked.inputs)]
        kind = _task_type(asked.input_type) if dialect.takes("input_type", name) else None
        if asked.input_type is not None and kind is None:
            dropped.add("input_type")
        body = _predicted(parts, kind, asked) if dialect.predicts else _batched(parts, kind, asked, f"models/{name}")
        method = "predict" if dialect.predicts else "batchEmbedContents"
        url = f"{endpoint.base_url}/models/{quote(name, safe='@')}:{method}"
        request = HttpRequest(url, {"content-type": "application/json"}, _encode(body))
        return EncodedTask(request, tuple(sorted(dropped)))

    def decode(self, body: bytes, asked: EmbeddingsRequest) -> list[Event]:
        found = read_json(body, "embeddings")
        if (failed := error_reported(found)) is not None:
            raise failed
        rows = found.get("embeddings") if isinstance(found, dict) else None
        usage = _usage(found.get("usageMetadata")) if isinstance(found, dict) else None
        if isinstance(found, dict) and isinstance(found.get("predictions"), list):
            rows = [one.get("embeddings") if isinstance(one, dict) else None for one in found["predictions"]]
            usage = _counted(rows)
        if not isinstance(rows, list):
            raise unusable("embeddings", "the response has no embeddings")
        vectors = [
            (None, read_vector(row.get("values") if isinstance(row, dict) else None, place))
            for place, row in enumerate(rows)
        ]
        return completed(in_order(vectors, asked), found, usage)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return gemini_error(status, body, headers, endpoint)


def _task_type(input_type: str | None) -> str | None:
    """Return the vendor's name of what the vectors are for, ``None`` for a purpose that it does not have."""
    name = (input_type or "").upper()
    name = _OTHER_NAMES.get(name, name)
    return name if name in TASK_TYPES else None


def takes_data_alone(part: Media, endpoint: Endpoint) -> bool:
    """Return whether ``part`` cannot be sent by its URL: for embeddings pictures go by their bytes."""
    return endpoint.task == "embeddings" and part.kind == "image"


def _batched(inputs: list[list[Part]], kind: str | None, asked: EmbeddingsRequest, model: str) -> dict[str, Any]:
    shared: dict[str, Any] = {"model": model}
    if kind is not None:
        shared["taskType"] = kind
    if asked.dimensions is not None:
        shared["outputDimensionality"] = asked.dimensions
    shared |= {name: raw for name, raw in asked.extras.items() if name not in shared}
    return {"requests": [shared | {"content": {"parts": parts}} for parts in inputs]}


def _predicted(inputs: list[list[Part]], kind: str | None, asked: EmbeddingsRequest) -> dict[str, Any]:
    shared: dict[str, Any] = {} if kind is None else {"task_type": kind}
    shared |= {name: raw for name, raw in asked.extras.items() if name not in shared and name not in _PARAMETERS}
    parameters: dict[str, Any] = {name: raw for name, raw in asked.extras.items() if name in _PARAMETERS}
    if asked.dimensions is not None:
        parameters["outputDimensionality"] = asked.dimensions
    texts = ["\n".join(part["text"] for part in parts) for parts in inputs]
    body: dict[str, Any] = {"instances": [shared | {"content": text} for text in texts]}
    return body | ({"parameters": parameters} if parameters else {})


def _parts(one: EmbeddingInput, place: int, endpoint: Endpoint) -> list[Part]:
    """Return the parts of an input. Raises ``ApiError`` 400 for what the model does not embed."""
    if isinstance(one, str):
        return [{"text": one}]
    dialect = gemini_dialect_at(endpoint)
    pictures = not dialect.predicts and dialect.takes("embedded_images", endpoint.upstream_model)
    found: list[Part] = []
    for part in one:
        if isinstance(part, Text):
            found.append({"text": part.text})
        elif isinstance(part, Media) and part.kind == "image" and pictures:
            found.append(media_part(part))
        else:
            kind = f"{part.kind} media" if isinstance(part, Media) else "tokens"
            raise ApiError(
                "invalid_request",
                f"input[{place}] has {kind}, which {endpoint.upstream_model} does not embed at "
                f"{endpoint.provider_name}; send texts{', or images' if pictures else ''}",
            )
    return found


def _usage(found: Any) -> Usage | None:
    tokens = token_count(found.get("promptTokenCount")) if isinstance(found, dict) else None
    if tokens is None:
        return None
    details = found.get("promptTokenDetails") or found.get("promptTokensDetails")
    rows = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    images = next((token_count(one.get("tokenCount")) for one in rows if one.get("modality") == "IMAGE"), None)
    return Usage(tokens, 0, image_prompt_tokens=images)


def _counted(rows: list[Any]) -> Usage | None:
    """Return the tokens of all inputs, each of which is counted apart; ``None`` if one is not."""
    counts = [token_count(_statistics(row).get("token_count")) for row in rows]
    known = [count for count in counts if count is not None]
    return Usage(sum(known), 0) if known and len(known) == len(counts) else None


def _statistics(row: Any) -> dict[str, Any]:
    found = row.get("statistics") if isinstance(row, dict) else None
    return found if isinstance(found, dict) else {}
