"""Implement the provider's side of Google's embeddings, and refuse what Google refuses.

Sources, read 2026-11-30: Gemini API reference: models.embedContent and models.batchEmbedContents; Vertex AI reference:
Text embeddings API; the requests of the ``google-genai`` package 3.6.1; the error bodies that users quote in the issues
of langchain-ai/langchainjs (#4491) and GoogleCloudPlatform/generative-ai (#3040). For an empty text, for dimensions
out of range and for too many pictures the documentation has no sentences; these are the lab's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.catalogue import load_catalogue
from data.catalogue.types import Model
from lab.embeddings import unit_vector
from lab.gemini_errors import GeminiErrors
from lab.gemini_fields import CONTENT, INT32, OBJECT, TEXT
from lab.gemini_refusals import GoogleVocabulary, check_key
from lab.offers import offered
from lab.openai_embeddings import spoil
from lab.shapes import Flag, Listed, Object, OneOf, RequestRefused, Shape, check
from lab.text import CHARACTERS_OF_A_TOKEN

MAX_BATCH, MAX_INSTANCES, MAX_TOKENS, MAX_IMAGES = 100, 250, 20_000, 6
TOKENS_OF_AN_IMAGE = 258
METHODS = ("embedContent", "batchEmbedContents", "predict")
TASK_TYPES = (
    "TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION",
    "CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY",
)  # fmt: skip
_OPTIONS: dict[str, Shape] = {"taskType": OneOf(TASK_TYPES), "title": TEXT, "outputDimensionality": INT32}
_EMBED = Object(
    {
        "model": TEXT,
        "content": CONTENT,
        **_OPTIONS,
        "embedContentConfig": Object({**_OPTIONS, "autoTruncate": Flag(), "documentOcr": Flag()}),
    },
    ("content",),
)
# ``predict`` takes any object of its publisher's; the names of its fields are those of the model.
_PREDICT = Object({"instances": Listed(OBJECT), "parameters": OBJECT, "labels": OBJECT}, ("instances",))
SHAPES = {
    "embedContent": _EMBED,
    "batchEmbedContents": Object({"requests": Listed(_EMBED)}, ("requests",)),
    "predict": _PREDICT,
}
_ADVICE = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api"


class GeminiEmbeddingsWire(GeminiErrors):
    """Implement ``TaskWire`` for ``method`` at the address of a model of ``provider``."""

    vendors = frozenset({"google", "google-vertex"})

    def __init__(self, provider: str, method: str, *, vertex: bool) -> None:
        self._provider, self._method, self._vertex = provider, method, vertex

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        if not self._vertex:
            check_key(headers)
        name = body["model"]
        model = self._model(name)
        if model is None:
            raise RequestRefused(
                f"models/{name} is not found for API version v1beta, or is not supported for {self._method}. Call "
                "ListModels to see the list of available models and their supported methods.",
                status=404, kind="NOT_FOUND",
            )  # fmt: skip
        sent = body if self._method == "embedContent" else {key: one for key, one in body.items() if key != "model"}
        check(SHAPES[self._method], sent, (), GoogleVocabulary())
        asked = self._asked(body)
        self._check_batch(body, name, len(asked))
        for text, images, options in asked:
            if not text and not images:
                raise RequestRefused("The text content is empty.")
            if len(images) > (MAX_IMAGES if _sees(name) else 0):
                raise RequestRefused(f"models/{name} embeds at most {MAX_IMAGES if _sees(name) else 0} images at once.")
            length = options.get("outputDimensionality")
            if length is not None and not 1 <= length <= (model.dimensions or length):
                raise RequestRefused(
                    f"output_dimensionality must be between 1 and {model.dimensions}, but is {length}."
                )

    def respond(self, body: dict[str, Any], spoiled: str | None) -> dict[str, Any]:
        model, asked = self._model(body["model"]), self._asked(body)
        full = (model and model.dimensions) or 768
        vectors = spoil(
            [
                unit_vector("\n".join((text, *images)), options.get("outputDimensionality") or full)
                for text, images, options in asked
            ],
            spoiled,
        )
        counts = [_tokens(text) for text, _, _ in asked]
        seen = TOKENS_OF_AN_IMAGE * sum(len(images) for _, images, _ in asked)
        details = {"TEXT": sum(counts), "IMAGE": seen}
        usage = {
            "promptTokenCount": sum(counts) + seen,
            "promptTokenDetails": [{"modality": name, "tokenCount": count} for name, count in details.items() if count],
        }
        if self._method == "embedContent":
            return {"embedding": {"values": vectors[0] if vectors else []}, "usageMetadata": usage}
        if self._method == "batchEmbedContents":
            return {"embeddings": [{"values": one} for one in vectors], "usageMetadata": usage}
        statistics = [{"token_count": count, "truncated": False} for count in counts]
        return {
            "predictions": [
                {"embeddings": {"values": one, "statistics": told}}
                for one, told in zip(vectors, statistics, strict=False)
            ],
            "metadata": {"billableCharacterCount": sum(len(text) for text, _, _ in asked)},
        }

    def _model(self, name: str) -> Model | None:
        """Return the catalogue's model of a name; ``None`` where Google does not embed with it."""
        endpoint = offered(self._provider, "embeddings").get(name)
        return load_catalogue().models[endpoint.model] if endpoint else None

    def _check_batch(self, body: dict[str, Any], name: str, count: int) -> None:
        if self._method == "batchEmbedContents":
            if count > MAX_BATCH:
                raise RequestRefused(
                    f"* BatchEmbedContentsRequest.requests: at most {MAX_BATCH} requests can be in one batch\n"
                )
            # At Vertex AI the address alone has the model.
            others = {one.get("model", f"models/{name}") for one in body["requests"]} - {f"models/{name}"}
            if others:
                raise RequestRefused("* BatchEmbedContentsRequest.requests: the model of all must be the address's\n")
        if self._method == "predict":
            if count > MAX_INSTANCES:
                raise RequestRefused(
                    f"Unable to submit request because it included too many instances: {count}, but at most "
                    f"{MAX_INSTANCES} are supported. {_ADVICE}"
                )
            tokens = sum(_tokens(text) for text, _, _ in self._asked(body))
            if tokens > MAX_TOKENS:
                raise RequestRefused(
                    f"Unable to submit request because the input token count is {tokens} but the model supports up to "
                    f"{MAX_TOKENS}. Reduce the input token count and try again. {_ADVICE}"
                )

    def _asked(self, body: dict[str, Any]) -> list[tuple[str, list[str], dict[str, Any]]]:
        """Return each text with its pictures and its options."""
        if self._method == "predict":
            parameters = body.get("parameters") or {}
            return [(str(one.get("content") or ""), [], parameters) for one in body["instances"]]
        requests = body["requests"] if self._method == "batchEmbedContents" else [body]
        return [
            (
                "\n".join(part["text"] for part in one["content"].get("parts") or () if "text" in part),
                [_standard(part["inlineData"]) for part in one["content"].get("parts") or () if "inlineData" in part],
                one | one.get("embedContentConfig", {}),
            )
            for one in requests
        ]


def _standard(blob: Mapping[str, Any]) -> str:
    """Return the data of a blob in the usual alphabet of base64: Google's own client writes the other one."""
    return str(blob["data"]).replace("-", "+").replace("_", "/")


def _sees(model: str) -> bool:
    """Return whether a model embeds pictures: the first one does not."""
    return not model.startswith("gemini-embedding-001")


def _tokens(text: str) -> int:
    return max(1, len(text) // CHARACTERS_OF_A_TOKEN)
