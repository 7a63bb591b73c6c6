"""Serve the responses API in front of providers that refuse what their vendors refuse."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as StarletteResponse

from lab.server import Lab
from lab.wire import Wire
from tests.clients.served import RESPONSES_MODELS
from tests.conftest import Stack, open_stack
from tests.router_service.api.skins.responses.response_client import OVERFLOW


class NarrowLab(Lab):
    """Refuse a prompt with the word ``OVERFLOW`` as a provider refuses one that is too long."""

    async def answer(self, provider: str, request: Request, wire: Wire) -> StarletteResponse:
        if OVERFLOW.encode() not in await request.body():
            return await super().answer(provider, request, wire)
        message = "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
        error = {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
        return JSONResponse({"error": error}, status_code=400)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router in front of a lab in which every provider refuses what the vendor refuses."""
    with open_stack(
        tmp_path_factory.mktemp("responses"), NarrowLab(time_scale=0.0, faults=False, strict=True)
    ) as opened:
        yield opened


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    """Yield a client; afterwards the lab has refused nothing."""
    stack.lab.refused.clear()
    with openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key, max_retries=0) as made:
        yield made
    assert not stack.lab.refused


@pytest.fixture(params=sorted(RESPONSES_MODELS))
def model(request: pytest.FixtureRequest) -> str:
    return RESPONSES_MODELS[request.param]
