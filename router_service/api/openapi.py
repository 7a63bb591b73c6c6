"""Add the hot routes, which FastAPI does not serve, to FastAPI's OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from router_service.planning.service_tiers import ACCEPTED_TIERS

CHAT: dict[str, Any] = {
    "summary": "Create a chat completion",
    "description": "OpenAI-compatible; unknown fields are passed to the provider. "
    "Usage with cost is always returned, on a stream in the last chunk.",
    "security": [{"bearer": []}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["messages"],
                    "properties": {
                        "model": {"type": "string", "examples": ["openai/gpt-4o-mini"]},
                        "models": {"type": "array", "items": {"type": "string"}},
                        "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                        "stream": {"type": "boolean", "default": False},
                        "provider": {"type": "object"},
                        "service_tier": {"type": "string", "enum": list(ACCEPTED_TIERS)},
                    },
                    "additionalProperties": True,
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "The completion, or a stream of chunks",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        "4XX": {"description": "The error envelope: code, message, metadata.error_type"},
        "5XX": {"description": "The error envelope: code, message, metadata.error_type"},
    },
}


def describe_hot_routes(app: FastAPI) -> None:
    """Make ``app.openapi()`` include the hot routes."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
            schema["paths"]["/api/v1/chat/completions"] = {"post": CHAT}
            schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes["bearer"] = {"type": "http", "scheme": "bearer"}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
