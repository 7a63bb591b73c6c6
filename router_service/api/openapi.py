"""Complete FastAPI's OpenAPI document: the hot routes, which FastAPI does not serve, and all schemas."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from router_service.api.schemas import (
    catalogue_bodies,
    chat_bodies,
    completions_bodies,
    messages_bodies,
    record_bodies,
    responses_bodies,
    task_bodies,
)
from router_service.api.schemas.chat_bodies import ChatChunkBody, ChatCompletionBody, ChatRequestBody
from router_service.api.schemas.completions_bodies import CompletionBody, CompletionChunkBody, CompletionRequestBody
from router_service.api.schemas.described import REFERENCE, SECURITY, SECURITY_SCHEMES, json_content, reference
from router_service.api.schemas.messages_bodies import (
    CountTokensRequestBody,
    MessageBody,
    MessagesErrorBody,
    MessagesRequestBody,
    TokenCountBody,
)
from router_service.api.schemas.record_bodies import ErrorEnvelopeBody
from router_service.api.schemas.responses_bodies import (
    ResponseBody,
    ResponseEventBody,
    ResponsesErrorBody,
    ResponsesRequestBody,
)
from router_service.api.schemas.task_bodies import (
    EmbeddingsBody,
    EmbeddingsRequestBody,
    ImagesBody,
    ImagesRequestBody,
    RerankBody,
    RerankRequestBody,
)

PREFIX = "/api/v1"
_MODULES = (
    catalogue_bodies, record_bodies, chat_bodies, messages_bodies, responses_bodies, completions_bodies, task_bodies,
)  # fmt: skip
_ID_HEADERS = {
    "X-Generation-Id": {"description": "Id of the record of the request", "schema": {"type": "string"}},
    "X-Request-Id": {
        "description": "The client's X-Request-Id if it is valid, else the generation id",
        "schema": {"type": "string"},
    },
}


def _operation(
    summary: str,
    description: str,
    request: type[msgspec.Struct],
    content: dict[str, Any],
    error: type[msgspec.Struct],
) -> dict[str, Any]:
    return {
        "summary": summary,
        "description": description,
        "security": SECURITY,
        "requestBody": {"required": True, "content": json_content(request)},
        "responses": {
            "200": {"description": "The answer", "headers": _ID_HEADERS, "content": content},
            **_errors(error),
        },
    }


def _errors(schema: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        status: {"description": "The error, with a sentence that says what to change", "content": json_content(schema)}
        for status in ("4XX", "5XX")
    }


def _events(schema: dict[str, Any]) -> dict[str, Any]:
    return {"text/event-stream": {"schema": schema}}


_IMAGES = _operation(
    "Generate images",
    "Returns images as base64, in one response. `GET /api/v1/images/models` lists the models.",
    ImagesRequestBody,
    json_content(ImagesBody),
    ErrorEnvelopeBody,
)
HOT_OPERATIONS = {
    "/chat/completions": _operation(
        "Create a chat completion",
        "OpenAI-compatible; unknown fields are passed to the provider. Usage with cost is always returned, on a stream "
        "in the last chunk. A stream is server-sent events, whose data are chunks and at the end `[DONE]`.",
        ChatRequestBody,
        json_content(ChatCompletionBody) | _events(reference(ChatChunkBody)),
        ErrorEnvelopeBody,
    ),
    "/responses": _operation(
        "Create a response",
        "Compatible with OpenAI's responses and the Open Responses specification. Nothing is kept: send the items of a "
        "conversation with each request. A stream is typed, numbered events and at the end `[DONE]`. A prompt or a "
        "limit that is too large is answered with a response that is incomplete, as the reference does.",
        ResponsesRequestBody,
        json_content(ResponseBody) | _events(reference(ResponseEventBody)),
        ResponsesErrorBody,
    ),
    "/completions": _operation(
        "Complete a text",
        "The legacy API of OpenAI: the prompt is sent as the message of a user. A stream is server-sent events, whose "
        "data are chunks and at the end `[DONE]`.",
        CompletionRequestBody,
        json_content(CompletionBody) | _events(reference(CompletionChunkBody)),
        ErrorEnvelopeBody,
    ),
    "/messages": _operation(
        "Create a message",
        "Anthropic-compatible. A stream has the events of Anthropic's API, from `message_start` to `message_stop`.",
        MessagesRequestBody,
        json_content(MessageBody) | _events({"type": "string"}),
        MessagesErrorBody,
    ),
    "/messages/count_tokens": _operation(
        "Estimate the tokens of a message",
        "Nothing is billed or logged; the header `X-Token-Count: estimate` marks the count as an estimate.",
        CountTokensRequestBody,
        json_content(TokenCountBody),
        MessagesErrorBody,
    ),
    "/embeddings": _operation(
        "Create embeddings",
        "Compatible with OpenAI and the reference: one vector for each input, in their order. `GET "
        "/api/v1/embeddings/models` lists the models.",
        EmbeddingsRequestBody,
        json_content(EmbeddingsBody),
        ErrorEnvelopeBody,
    ),
    "/rerank": _operation(
        "Rank documents",
        "Orders documents by their relevance to a query, the most relevant first. `GET "
        "/api/v1/models?output_modalities=rerank` lists the models.",
        RerankRequestBody,
        json_content(RerankBody),
        ErrorEnvelopeBody,
    ),
    "/images": _IMAGES,
    "/images/generations": _IMAGES,
}


def describe_routes(app: FastAPI) -> None:
    """Make ``app.openapi()`` describe all routes."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
    for path in document["paths"].values():
        for operation in path.values():
            # Wrong parameters are refused with 400 and the envelope.
            operation["responses"].pop("422", None)
            for content in operation["responses"].get("200", {}).get("content", {}).values():
                # FastAPI adds what it knows of the type, which is any object.
                if "$ref" in content["schema"]:
                    content["schema"] = {"$ref": content["schema"]["$ref"]}
            operation["responses"] |= _errors(ErrorEnvelopeBody)
    document["paths"] |= {f"{PREFIX}{path}": {"post": operation} for path, operation in HOT_OPERATIONS.items()}
    _, schemas = msgspec.json.schema_components(list(_structs()), ref_template=REFERENCE)
    document["components"] = {"schemas": schemas, "securitySchemes": SECURITY_SCHEMES}
    return document


def _structs() -> Iterator[type[msgspec.Struct]]:
    """Yield the structs that the modules of schemas define."""
    for module in _MODULES:
        for found in vars(module).values():
            if _is_defined_in(module, found):
                yield found


def _is_defined_in(module: ModuleType, found: object) -> bool:
    return isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__module__ == module.__name__
