"""Servers as operators run them: vLLM and Ollama on loopback, with keys that can be refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class OwnServer:
    """Serve ``/v1/models`` and ``/v1/chat/completions`` for ``models``, rows as the server lists them.

    ``refused`` maps a key to the status that it is answered with. ``keys`` counts the chat requests by key, an empty
    string where there was none; ``headers`` are those of the last one, and ``bodies`` all bodies. A server that
    ``always_streams`` answers so whatever was asked for.
    """

    models: list[dict[str, Any]]
    text: str = "hello"
    refused: dict[str, int] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    list_status: int = 200
    always_streams: bool = False

    def app(self) -> Starlette:
        """Return the application."""
        routes = [
            Route("/v1/models", self.list_models),
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def list_models(self, request: Request) -> Response:
        """Return the list of models."""
        return JSONResponse({"object": "list", "data": self.models or None}, status_code=self.list_status)

    async def complete(self, request: Request) -> Response:
        """Return a completion, or the refusal of its key."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.keys[key] += 1
        self.headers = dict(request.headers)
        body = await request.json()
        self.bodies.append(body)
        if status := self.refused.get(key):
            error = {"message": f"key refused with {status}", "type": "error", "code": status}
            return JSONResponse({"error": error}, status_code=status)
        if body["model"] not in {row["id"] for row in self.models}:
            error = {"message": f"The model {body['model']} does not exist.", "type": "NotFoundError", "code": 404}
            return JSONResponse({"error": error}, status_code=404)
        if body.get("stream") or self.always_streams:
            return StreamingResponse(self._chunks(body["model"]), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        finish = "stop"
        if body.get("tools"):
            name = body["tools"][0]["function"]["name"]
            call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"city":"Rome"}'}}
            message, finish = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return JSONResponse(self._envelope(body["model"], "chat.completion", [choice]) | {"usage": USAGE})

    async def _chunks(self, model: str) -> AsyncIterator[str]:
        for delta, finish in (({"role": "assistant", "content": self.text}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            yield f"data: {json.dumps(self._envelope(model, 'chat.completion.chunk', [choice]))}\n\n"
        yield f"data: {json.dumps(self._envelope(model, 'chat.completion.chunk', []) | {'usage': USAGE})}\n\n"
        yield "data: [DONE]\n\n"

    def _envelope(self, model: str, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, "choices": choices}


USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def vllm(*names: str, text: str = "hello") -> OwnServer:
    """Return a server that lists models as vLLM does. Source: vLLM docs, OpenAI-Compatible Server, November 2026."""
    rows = [
        {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "root": name, "parent": None,
         "max_model_len": 32768, "permission": []}
        for name in names
    ]  # fmt: skip
    return OwnServer(rows, text)


def ollama(*names: str) -> OwnServer:
    """Return a server that lists models as Ollama does. Source: Ollama docs, OpenAI compatibility, November 2026."""
    return OwnServer([{"id": name, "object": "model", "created": 1, "owned_by": "library"} for name in names])
