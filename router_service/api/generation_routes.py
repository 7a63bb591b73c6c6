"""Map the paths of the client-facing APIs for generation to handlers. A new skin is a folder and its lines here."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp

from router_service.api.handler import GenerationHandler
from router_service.api.services import Services
from router_service.api.skins.chat.endpoint import ChatEndpoint
from router_service.api.skins.completions.endpoint import CompletionsEndpoint
from router_service.api.skins.embeddings.endpoint import EmbeddingsEndpoint
from router_service.api.skins.images.endpoint import ImagesEndpoint
from router_service.api.skins.messages.endpoint import MessagesEndpoint
from router_service.api.skins.rerank.endpoint import RerankEndpoint
from router_service.api.skins.responses.endpoint import ResponsesEndpoint
from router_service.api.task_handler import TaskHandler
from router_service.api.token_counting import TokenCounting


def generation_routes(services: Services, prefixes: Sequence[str]) -> dict[str, ASGIApp]:
    """Return the handlers of ``POST`` by path, below each of ``prefixes``."""
    handlers: dict[str, ASGIApp] = {
        "/chat/completions": GenerationHandler(services, ChatEndpoint(services.catalogue)),
        "/completions": GenerationHandler(services, CompletionsEndpoint(services.catalogue)),
        "/responses": GenerationHandler(services, ResponsesEndpoint(services.catalogue)),
        "/messages": GenerationHandler(services, MessagesEndpoint()),
        "/embeddings": TaskHandler(services, EmbeddingsEndpoint(), "embeddings"),
        "/rerank": TaskHandler(services, RerankEndpoint(), "rerank"),
        "/images": TaskHandler(services, ImagesEndpoint(), "images"),
        "/images/generations": TaskHandler(services, ImagesEndpoint(), "images"),
        "/messages/count_tokens": TokenCounting(services, MessagesEndpoint(counting=True)),
    }
    return {f"{prefix}{path}": handler for prefix in prefixes for path, handler in handlers.items()}
