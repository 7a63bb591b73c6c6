"""Build the ASGI application: a bare handler serves the hot route, FastAPI serves all other routes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from data.catalogue.types import Catalogue
from router_service.api import account, analytics, catalogue, generation, health, image_models, preview
from router_service.api.asgi import HeadRequests
from router_service.api.cross_origin import CROSS_ORIGIN_KEY
from router_service.api.generation_routes import generation_routes
from router_service.api.handler import CLIENT_CLOSED
from router_service.api.openapi import describe_routes
from router_service.api.response_ids import RequestIds
from router_service.configuration.read_file import settings_of_process
from router_service.container import Container
from router_service.core.client_connection import ClientDisconnected
from router_service.core.errors import ApiError, RequestRefusal
from router_service.core.http_limits import STATE_KEY
from router_service.core.token_bucket import TokenBucket
from router_service.settings import Settings

PREFIXES = ("/api/v1", "/v1")
# Requests create almost no reference cycles, and each collection walks the objects of all requests in flight. The
# interpreter's default of 700 new objects is reached after a few requests. Requests that fail leave cycles of frames:
# a collection of 20,000 of these objects blocks the event loop for 10 to 20 ms, so there are more and shorter ones.
COLLECT_AFTER = (5_000, 80, 20)
# A smaller response fits into a few packets anyway.
COMPRESS_FROM_BYTES = 4096
# Level 9, Starlette's default, takes several times as long for 1 % less.
COMPRESSION_LEVEL = 5
WARNINGS_PER_S = 1.0
WARNINGS_BURST = 20.0


class BoundedWarnings(logging.Filter):
    """Let ``WARNINGS_BURST`` warnings of the server pass at once, and ``WARNINGS_PER_S`` after that."""

    def __init__(self) -> None:
        super().__init__()
        self._bucket = TokenBucket(WARNINGS_PER_S, WARNINGS_BURST)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether ``record`` is logged; errors always are."""
        return record.levelno > logging.WARNING or self._bucket.take()


class Application:
    """Answer the hot routes before FastAPI, whose own request path would halve their rate.

    A call returns what has to be awaited and is no coroutine itself, which would take 0.3 kB of each open stream.
    uvicorn does not recognise the interface of such an application: pass it ``interface="asgi3"``.
    """

    def __init__(self, breadth: ASGIApp, hot: Mapping[str, ASGIApp], container: Container) -> None:
        self._breadth = breadth
        self.container = container
        self._hot = hot

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST":
            hot = self._hot.get(scope["path"])
            if hot is not None:
                return hot(scope, receive, send)
        if scope["type"] == "http" and scope["path"].endswith("/") and len(scope["path"]) > 1:
            # A redirect would lose the body or the key in some clients.
            return self({**scope, "path": scope["path"].rstrip("/") or "/"}, receive, send)
        return self._breadth(scope, receive, send)


def end_with_parent() -> None:
    """End this worker when the process that started it has been killed: nobody would end it, and it holds the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.remove_reader(parent.sentinel)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(parent.sentinel, end)


def create_app(settings: Settings | None = None, known: Catalogue | None = None) -> Application:
    """Return the whole service. ``known`` replaces the packaged catalogue.

    Raises ``ConfigurationError`` for a ``portolan.toml`` that is not valid.
    """
    settings = settings or settings_of_process()
    container = Container(settings, known)
    limits = settings.http_limits

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, object]]:
        end_with_parent()
        async with container.running():
            yield {STATE_KEY: limits, CROSS_ORIGIN_KEY: container.services.cross_origin}

    # The pages /docs and /redoc with their scripts from this package instead of a content delivery network.
    app = FastAPIOffline(
        title="Portolan",
        description="One API in front of every provider of every model.",
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry={"logs": False, "operation_spans": False},
    )
    app.state.services = container.services
    hot = generation_routes(container.services, PREFIXES)
    # They answer other methods with 405; ``Application`` serves their own.
    app.router.routes += [Route(path, serve, methods=["POST"], include_in_schema=False) for path, serve in hot.items()]
    for prefix in PREFIXES:
        for routes in (catalogue, image_models, generation, account, analytics, preview):
            app.include_router(routes.router, prefix=prefix, include_in_schema=prefix == PREFIXES[0])
    app.include_router(health.router)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnected, _left)
    app.add_exception_handler(Exception, _internal_error)
    describe_routes(app)
    compressed = GZipMiddleware(HeadRequests(app), minimum_size=COMPRESS_FROM_BYTES, compresslevel=COMPRESSION_LEVEL)
    return Application(container.services.cross_origin.wrap(RequestIds(compressed)), hot, container)


def app() -> ASGIApp:
    """Return the application of a worker process, with settings from the environment. The server calls this factory."""
    made = create_app()
    # One for each malformed request, of which anybody can send any number.
    logging.getLogger("uvicorn.error").addFilter(BoundedWarnings())
    # The catalogue and the modules live as long as the process, so the collector need not walk them again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    return made


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.envelope(), status_code=error.code)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
    return await _api_error(_request, ApiError("invalid_request", problems))


async def _left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        message = f"There is nothing at {request.method} {request.url.path}; /docs lists the routes"
        return await _api_error(request, ApiError("not_found", message))
    if error.status_code == 405:
        return _wrong_method(request, Headers(error.headers).get("allow", ""))
    refused = RequestRefusal(error.status_code, error.detail)
    return JSONResponse(refused.envelope(), status_code=refused.code, headers=error.headers)


def _wrong_method(request: Request, allow: str) -> Response:
    """Return the methods of the path: as an error, or as the response to ``OPTIONS``."""
    allowed = {method.strip() for method in allow.split(",")} | {"OPTIONS"}
    if "GET" in allowed:
        allowed.add("HEAD")
    headers = {"allow": ", ".join(sorted(allowed))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    message = f"{request.method} is not allowed at {request.url.path}; send {allow}"
    return JSONResponse(RequestRefusal(405, message).envelope(), status_code=405, headers=headers)


async def _internal_error(_request: Request, _error: Exception) -> Response:
    fault = ApiError("server", "Internal error; the router's own log has it")
    return JSONResponse(fault.envelope(), status_code=fault.code)
