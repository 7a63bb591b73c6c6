"""Serve Google's paths: models, at AI Studio and in projects of Vertex AI."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lab.account_routes import ChatHost
from lab.gemini_embeddings import GeminiEmbeddingsWire
from lab.gemini_server import MODEL_PATHS, ClaimedModel, EmbeddingsReader, TokenOffice, read_generation
from lab.gemini_wire import GeminiWire
from lab.intake import refusal_response
from lab.task_wire import answer_task


class GoogleHost(ChatHost, Protocol):
    """Answer requests for chat, and know which providers refuse what Google refuses."""

    def refuses(self, provider: str) -> bool: ...


def google_routes(lab: GoogleHost, gemini: GeminiWire, office: TokenOffice) -> list[Route]:
    """Return the routes; ``office`` knows the tokens of Vertex AI."""

    async def call(request: Request) -> Response:
        provider = request.path_params["provider"]
        wanted = ClaimedModel.read(request)
        wire = gemini.at(wanted.model, is_vertex=wanted.is_vertex)
        refused = wanted.refusal(office)
        if refused is not None and lab.refuses(provider):
            lab.refused[f"{provider}:{wanted.model}"] += 1
            return refusal_response(refused, wire)
        if wanted.embeds:
            embeddings = GeminiEmbeddingsWire(provider, wanted.method, vertex=wanted.is_vertex)
            return await answer_task(lab, provider, request, embeddings, EmbeddingsReader(wanted.model, wanted.method))
        address = {"model": wanted.model, "stream": wanted.stream}
        return await lab.answer(provider, request, wire, address, read_generation)

    return [Route(f"/{{provider}}/{path}/{{call}}", call, methods=["POST"]) for path in MODEL_PATHS]
