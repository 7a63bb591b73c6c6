"""Serve Google's paths: models and caches, at AI Studio and in projects of Vertex AI."""

from __future__ import annotations

from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.account_routes import ChatHost
from lab.gemini_caches import CHANGED, CREATED
from lab.gemini_embeddings import GeminiEmbeddingsWire
from lab.gemini_fields import documented_names
from lab.gemini_refusals import BAD_TOKEN, check_key
from lab.gemini_server import (
    CACHE_PATHS,
    MODEL_PATHS,
    ClaimedModel,
    EmbeddingsReader,
    TokenOffice,
    project_of,
    read_generation,
)
from lab.gemini_wire import GeminiWire
from lab.intake import MALFORMED, read_body, refusal_response, unreadable
from lab.shapes import RequestRefused
from lab.task_wire import answer_task


class GoogleHost(ChatHost, Protocol):
    """Answer requests for chat, and know which providers refuse what Google refuses."""

    def refuses(self, provider: str) -> bool: ...


def google_routes(lab: GoogleHost, gemini: GeminiWire, office: TokenOffice) -> list[Route]:
    """Return the routes; ``office`` knows the tokens of Vertex AI."""

    async def call(request: Request) -> Response:
        provider = request.path_params["provider"]
        wanted = ClaimedModel.read(request)
        wire = gemini.at(wanted.model, wanted.project, is_vertex=wanted.is_vertex)
        refused = wanted.refusal(office)
        if refused is not None and lab.refuses(provider):
            lab.refused[f"{provider}:{wanted.model}"] += 1
            return refusal_response(refused, wire)
        if wanted.embeds:
            embeddings = GeminiEmbeddingsWire(provider, wanted.method, vertex=wanted.is_vertex)
            return await answer_task(lab, provider, request, embeddings, EmbeddingsReader(wanted.model, wanted.method))
        address = {"model": wanted.model, "stream": wanted.stream}
        return await lab.answer(provider, request, wire, address, read_generation)

    async def caches(request: Request) -> Response:
        try:
            return JSONResponse(await answer_caches(gemini, office, request))
        except RequestRefused as refused:
            return refusal_response(refused, gemini)
        except MALFORMED as error:
            return refusal_response(unreadable(error), gemini)

    return [
        *(Route(f"/{{provider}}/{path}/{{call}}", call, methods=["POST"]) for path in MODEL_PATHS),
        *(Route(f"/{{provider}}/{path}/cachedContents", caches, methods=["GET", "POST"]) for path in CACHE_PATHS),
        *(
            Route(f"/{{provider}}/{path}/cachedContents/{{cache}}", caches, methods=["GET", "PATCH", "DELETE"])
            for path in CACHE_PATHS
        ),
    ]


async def answer_caches(gemini: GeminiWire, office: TokenOffice, request: Request) -> dict[str, Any]:
    """Return what Google answers to a request about caches. Raises ``RequestRefused`` for what it refuses."""
    project, cache = project_of(request), request.path_params.get("cache")
    if "project" not in request.path_params:
        check_key(request.headers)
    elif not office.knows(request.headers.get("authorization", "")):
        raise RequestRefused(BAD_TOKEN, status=401, kind="UNAUTHENTICATED")
    name = f"{project}/cachedContents/{cache}" if "project" in request.path_params else f"cachedContents/{cache}"
    match request.method:
        case "POST":
            body = documented_names(await read_body(request, gemini), CREATED)
            return gemini.caches.create(request.path_params["provider"], project, body)
        case "PATCH":
            return gemini.caches.update(project, name, documented_names(await read_body(request, gemini), CHANGED))
        case "DELETE":
            return gemini.caches.delete(project, name)
        case _ if cache is None:
            return gemini.caches.listed(project, request.query_params)
    return gemini.caches.get(project, name).shown()
