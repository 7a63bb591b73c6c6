"""Translate embeddings to and from OpenAI's ``/embeddings``, which providers of chat completions imitate.

Source: OpenAI API reference, "Create embeddings" (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.embeddings import EmbeddingInput, EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.http_request import HttpRequest, request_url
from router_service.core.parts import Text
from router_service.core.usage import Usage
from router_service.providers.counts import token_count
from router_service.providers.formats.openai_chat.dialect import dialect_at
from router_service.providers.formats.openai_chat.errors import find_error, http_error, typed_body
from router_service.providers.task_format import EncodedTask, completed, read_json, unusable
from router_service.providers.vectors import in_order, read_vector

_encode = msgspec.json.Encoder().encode


class OpenAIEmbeddings:
    """Implement ``TaskFormat`` for embeddings."""

    def encode(self, asked: EmbeddingsRequest, endpoint: Endpoint) -> EncodedTask:
        dialect = dialect_at(endpoint)
        dropped: set[str] = set()
        body: dict[str, Any] = {
            "model": endpoint.sent_model,
            "input": [_input(one, place, endpoint) for place, one in enumerate(asked.inputs)],
        }
        if dialect.base64_embeddings:
            # A third of the bytes of numbers in decimal.
            body["encoding_format"] = "base64"
        if asked.dimensions is not None:
            body[dialect.renamed.get("dimensions", "dimensions")] = asked.dimensions
        if asked.input_type is not None:
            dropped.add("input_type")
        if asked.user is not None:
            if "user" in dialect.absent:
                dropped.add("user")
            else:
                body["user"] = asked.user
        body |= {name: raw for name, raw in asked.extras.items() if name not in body}
        headers = {"content-type": "application/json"}
        return EncodedTask(
            HttpRequest(request_url(endpoint.base_url, "/embeddings"), headers, _encode(body)), tuple(sorted(dropped))
        )

    def decode(self, body: bytes, asked: EmbeddingsRequest) -> list[Event]:
        found = read_json(body, "embeddings")
        if (failed := find_error(found)) is not None:
            raise typed_body(failed)
        rows = found.get("data") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            raise unusable("embeddings", "the response has no data")
        vectors = [
            (row.get("index"), read_vector(row.get("embedding"), place))
            for place, row in enumerate(rows)
            if isinstance(row, dict)
        ]
        return completed(in_order(vectors, asked), found, read_usage(found.get("usage")))

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)


def read_usage(found: Any) -> Usage | None:
    """Return the tokens of the inputs, ``None`` where they are not reported: some providers send the total alone."""
    if not isinstance(found, dict):
        return None
    tokens = token_count(found.get("prompt_tokens"))
    if tokens is None:
        tokens = token_count(found.get("total_tokens"))
    if tokens is None:
        return None
    details = found.get("prompt_tokens_details")
    images = token_count(details.get("image_tokens")) if isinstance(details, dict) else None
    return Usage(tokens, 0, image_prompt_tokens=images)


def _input(one: EmbeddingInput, place: int, endpoint: Endpoint) -> str | list[int]:
    if isinstance(one, str):
        return one
    if one and not isinstance(one[0], int):
        texts = [part.text for part in one if isinstance(part, Text)]
        if len(texts) < len(one):
            raise ApiError(
                "invalid_request",
                f"input[{place}].content has media, which {endpoint.provider_name} does not embed; send text, or "
                "choose a model whose input_modalities have them",
            )
        return "\n".join(texts)
    return one  # type: ignore[return-value]
