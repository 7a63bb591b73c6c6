"""Implement the provider's side of OpenAI's embeddings, and refuse what it refuses.

Sources, read on 2026-11-29: OpenAI API reference, "Create embeddings"; the error bodies that users quote in issues of
embeddings-benchmark/mteb (#1200), sbintuitions/JMTEB (#15), discourse/discourse-ai (#1080), openai-php/client (#171).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.catalogue import load_catalogue
from data.catalogue.types import Model
from lab.embeddings import packed, unit_vector
from lab.offers import offered
from lab.openai_errors import OpenAIErrors
from lab.openai_refusals import NO_KEY, OpenAIVocabulary
from lab.shapes import Either, Listed, Number, Object, OneOf, RequestRefused, String, check
from lab.text import CHARACTERS_OF_A_TOKEN

MAX_INPUTS, MAX_INPUT_TOKENS, MAX_REQUEST_TOKENS = 2048, 8192, 300_000
DEFAULT_DIMENSIONS = 1024
_INVALID = "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
_TOKENS = Listed(Number(whole=True, low=0))
_REQUEST = Object(
    {
        "model": String(),
        "input": Either((String(), Listed(Either((String(), Number(whole=True, low=0), _TOKENS))))),
        "encoding_format": OneOf(("float", "base64")),
        "dimensions": Number(whole=True, low=1),
        "user": String(),
    },
    ("model", "input"),
)


class OpenAIEmbeddingsWire(OpenAIErrors):
    """Implement ``TaskWire`` for the embeddings of ``provider``."""

    vendors = frozenset({"openai", "azure"})

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        if not headers.get("authorization") and not headers.get("api-key"):
            raise RequestRefused(NO_KEY, status=401)
        # Mistral has its own name of ``dimensions``.
        documented = {name: value for name, value in body.items() if name != "output_dimension"}
        check(_REQUEST, documented, (), OpenAIVocabulary())
        inputs = _inputs(body)
        if not inputs or len(inputs) > MAX_INPUTS or not all(inputs):
            raise RequestRefused(_INVALID)
        model = known_model(self._provider, body["model"])
        if model is None:
            message = f"The model `{body['model']}` does not exist or you do not have access to it."
            raise RequestRefused(message, status=404, code="model_not_found")
        _check_dimensions(body, model)
        counts = [_tokens(one) for one in inputs]
        if max(counts) > MAX_INPUT_TOKENS:
            most = max(counts)
            raise RequestRefused(
                f"This model's maximum context length is {MAX_INPUT_TOKENS} tokens, however you requested {most} "
                f"tokens ({most} in your prompt; 0 for the completion). Please reduce your prompt; or completion "
                "length."
            )
        if sum(counts) > MAX_REQUEST_TOKENS:
            raise RequestRefused(
                f"Invalid 'input': maximum request size is {MAX_REQUEST_TOKENS} tokens per request.",
                kind="max_tokens_per_request", code="max_tokens_per_request",
            )  # fmt: skip

    def respond(self, body: dict[str, Any], spoiled: str | None) -> dict[str, Any]:
        inputs = _inputs(body)
        asked = body.get("dimensions") or body.get("output_dimension")
        model = known_model(self._provider, body["model"])
        dimensions = asked or (model and model.dimensions) or DEFAULT_DIMENSIONS
        vectors = spoil([unit_vector(_text(one), dimensions) for one in inputs], spoiled)
        as_base64 = body.get("encoding_format") == "base64"
        tokens = sum(map(_tokens, inputs))
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": place, "embedding": packed(one) if as_base64 else one}
                for place, one in enumerate(vectors)
            ],
            "model": body["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }


def spoil(vectors: list[list[float]], fault: str | None) -> list[list[float]]:
    """Return ``vectors`` with a fault: one is missing, or all are shorter than the others would be."""
    if fault == "missing_vector":
        return vectors[1:]
    return [one[:-1] for one in vectors] if fault == "short_vector" else vectors


def known_model(provider: str, upstream_model: str) -> Model | None:
    """Return the catalogue's model of a name at ``provider``; ``None`` where the provider does not have it."""
    endpoint = offered(provider, "embeddings").get(upstream_model)
    return load_catalogue().models[endpoint.model] if endpoint else None


def _inputs(body: dict[str, Any]) -> list[Any]:
    found = body["input"]
    return [found] if isinstance(found, str) or (found and isinstance(found[0], int)) else list(found)


def _text(one: Any) -> str:
    return one if isinstance(one, str) else " ".join(map(str, one))


def _tokens(one: Any) -> int:
    return max(1, len(one) // CHARACTERS_OF_A_TOKEN) if isinstance(one, str) else len(one)


def _check_dimensions(body: dict[str, Any], model: Model) -> None:
    asked = body.get("dimensions")
    if asked is None or model.dimensions is None:
        return
    offers = load_catalogue().endpoints[model.id]
    if not any("dimensions" in offer.supported_parameters for offer in offers):
        raise RequestRefused("This model does not support specifying dimensions.")
    if asked > model.dimensions:
        raise RequestRefused(
            f"Invalid value for 'dimensions' = {asked}. Must be less than or equal to {model.dimensions}.",
            param="dimensions",
        )
