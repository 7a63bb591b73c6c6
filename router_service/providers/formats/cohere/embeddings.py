"""Translate embeddings to and from Cohere's ``/embed``.

Source: Cohere API reference v2, "Embed API" (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.http_request import HttpRequest
from router_service.core.parts import Media, Text
from router_service.providers.formats.cohere.wire import http_error, read_object, usage_of_meta
from router_service.providers.task_format import EncodedTask, completed, unusable
from router_service.providers.vectors import in_order, read_vector

MAX_INPUTS = 96
# Cohere requires the field; this is the value for texts that are stored to be found.
DEFAULT_INPUT_TYPE = "search_document"
_encode = msgspec.json.Encoder().encode


class CohereEmbeddings:
    """Implement ``TaskFormat`` for embeddings."""

    def encode(self, asked: EmbeddingsRequest, endpoint: Endpoint) -> EncodedTask:
        if len(asked.inputs) > MAX_INPUTS:
            raise ApiError(
                "invalid_request",
                f"input has {len(asked.inputs):,} inputs, but {endpoint.provider_name} embeds at most {MAX_INPUTS} in "
                "one request; send fewer",
            )
        body: dict[str, Any] = {
            "model": endpoint.upstream_model,
            "input_type": asked.input_type or DEFAULT_INPUT_TYPE,
            "embedding_types": ["base64"],
            **_inputs(asked, endpoint),
        }
        if asked.dimensions is not None:
            body["output_dimension"] = asked.dimensions
        body |= {name: raw for name, raw in asked.extras.items() if name not in body}
        request = HttpRequest(f"{endpoint.base_url}/embed", {"content-type": "application/json"}, _encode(body))
        return EncodedTask(request, ("user",) if asked.user is not None else ())

    def decode(self, body: bytes, asked: EmbeddingsRequest) -> list[Event]:
        found = read_object(body, "embeddings")
        kinds = found.get("embeddings")
        rows = (kinds.get("base64") or kinds.get("float")) if isinstance(kinds, dict) else None
        if not isinstance(rows, list):
            raise unusable("embeddings", "the response has no embeddings")
        result = in_order([(None, read_vector(row, place)) for place, row in enumerate(rows)], asked)
        return completed(result, found, usage_of_meta(found.get("meta")))

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)


def takes_data_alone(part: Media, endpoint: Endpoint) -> bool:  # noqa: ARG001 (part of the contract)
    """Return whether ``part`` cannot be sent by its URL: Cohere takes images as data URLs."""
    return part.kind == "image"


def _inputs(asked: EmbeddingsRequest, endpoint: Endpoint) -> dict[str, Any]:
    texts = [one for one in asked.inputs if isinstance(one, str)]
    if len(texts) == len(asked.inputs):
        return {"texts": texts}
    return {"inputs": [{"content": _content(one, place, endpoint)} for place, one in enumerate(asked.inputs)]}


def _content(one: Any, place: int, endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in one:
        if isinstance(part, Text):
            found.append({"type": "text", "text": part.text})
        elif isinstance(part, Media) and part.kind == "image" and part.data is not None:
            url = f"data:{part.media_type or 'image/png'};base64,{part.data}"
            found.append({"type": "image_url", "image_url": {"url": url}})
        else:
            kind = f"{part.kind} media" if isinstance(part, Media) else "tokens"
            raise ApiError(
                "invalid_request",
                f"input[{place}] has {kind}, which {endpoint.provider_name} does not embed; send texts, or images as "
                "data URLs",
            )
    return found
