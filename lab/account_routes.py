"""Serve the paths of providers whose addresses contain an account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.account_paths import AZURE, no_azure_path, read_at_azure, read_at_cloudflare, read_at_foundry
from lab.account_wires import AzureChatWire, CloudflareChatWire, CloudflareEmbeddingsWire
from lab.openai_embeddings import OpenAIEmbeddingsWire
from lab.openai_images import OpenAIImagesWire
from lab.task_wire import TaskBodyReader, TaskHost, TaskWire, answer_task
from lab.wire import Wire

AZURE_PATHS = ("openai/v1", "openai/deployments/{deployment}", "models")
CLOUDFLARE_PATHS = (
    "client/v4/accounts/{account}/ai/v1",
    "v1/{account}/{gateway}/workers-ai/v1",
    "v1/{account}/{gateway}/compat",
)
_Answer = Callable[[Request], Awaitable[Response]]


class ChatHost(TaskHost, Protocol):
    """Answer requests for chat."""

    async def answer(
        self,
        provider: str,
        request: Request,
        wire: Wire,
        address: Mapping[str, Any] | None = None,
        read: Callable[[Request, Wire], Awaitable[dict[str, Any]]] = ...,
    ) -> Response: ...


def account_routes(lab: ChatHost, responses: Wire, messages: Wire) -> list[Route]:
    """Return the routes of Azure and Cloudflare; ``responses`` and ``messages`` are the formats that they share."""

    def chat(wire: Wire, read: TaskBodyReader) -> _Answer:
        async def answer(request: Request) -> Response:
            return await lab.answer(request.path_params["provider"], request, wire, None, read)

        return answer

    def task(wire_of: Callable[[str], TaskWire], read: TaskBodyReader) -> _Answer:
        async def answer(request: Request) -> Response:
            provider = request.path_params["provider"]
            return await answer_task(lab, provider, request, wire_of(provider), read)

        return answer

    def images(_provider: str) -> TaskWire:
        # The catalogue has no images of Azure; they are those of OpenAI.
        return OpenAIImagesWire("openai")

    azure = {
        "chat/completions": chat(AzureChatWire(), read_at_azure),
        "embeddings": task(OpenAIEmbeddingsWire, read_at_azure),
        "images/generations": task(images, read_at_azure),
    }
    cloudflare = {
        "chat/completions": chat(CloudflareChatWire(), read_at_cloudflare),
        "embeddings": task(CloudflareEmbeddingsWire, read_at_cloudflare),
        "responses": chat(responses, read_at_cloudflare),
    }
    found = [_route(f"{path}/{name}", answer) for path in AZURE_PATHS for name, answer in azure.items()]
    found += [_route(f"{path}/responses", chat(responses, read_at_azure)) for path in ("openai/v1", "openai")]
    found.append(_route("anthropic/v1/messages", chat(messages, read_at_foundry)))
    found += [_route(f"{path}/{name}", answer) for path in CLOUDFLARE_PATHS for name, answer in cloudflare.items()]
    return [*found, *(Route(f"/{slug}/{{rest:path}}", _not_found, methods=["GET", "POST"]) for slug in sorted(AZURE))]


def _route(path: str, answer: _Answer) -> Route:
    return Route(f"/{{provider}}/{path}", answer, methods=["POST"])


async def _not_found(_request: Request) -> Response:
    return JSONResponse(no_azure_path(), status_code=404)
