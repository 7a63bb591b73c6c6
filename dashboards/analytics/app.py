"""Serve the analytics API: queries of the operator's own traffic, and public datasets.

The router authenticates and forwards; it says in ``SCOPE_HEADER`` which key's requests the caller may see. A process
with a token answers the router alone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import duckdb
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dashboards.analytics.activity import activity
from dashboards.analytics.datasets import Bucket, Modality, Period, app_rankings, rankings_daily, session_cost
from dashboards.analytics.deadline import deadline
from dashboards.analytics.fields import DIMENSIONS, GRANULARITIES, METRICS, OPERATORS
from dashboards.analytics.problems import BadQuestion, envelope, sentence
from dashboards.analytics.query import AnalyticsQuery, answer_query
from dashboards.analytics.tables import MEDIA_TYPES, FileFormat, asked_format, encode_rows
from dashboards.analytics.task_shares import task_shares
from data.analytics import ALL_KEYS, SCOPE_HEADER, TOKEN_HEADER
from data.lake import Lake
from data.marts import NoMart, open_mart

# Questions that are answered at once; the others wait.
AT_ONCE = 2
# The hosts that a process without a token answers for.
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
Source = Literal["live", "demo"]
router = APIRouter()


@dataclass(frozen=True)
class AnalyticsOptions:
    """Say what the process reads. ``few``: public rows of fewer requests or sessions are not shown."""

    lake: Lake
    token: str = ""
    few: int = 5
    timeout_s: float = 30.0


@dataclass(frozen=True)
class _Asking:
    """Hold what every question has: where its data lie, whose requests it may see, and the format of its answer."""

    options: AnalyticsOptions
    lake: Lake
    key_hash: str | None
    format: FileFormat
    slots: asyncio.Semaphore

    async def run(self, answer: Callable[[], dict[str, Any]]) -> Response:
        """Return what ``answer`` gives, computed in a thread."""
        async with self.slots:
            body = await asyncio.to_thread(answer)
        if self.format == "json":
            return JSONResponse(body)
        found = body["data"]
        rows = found.get("data") or found.get("classifications") or [] if isinstance(found, dict) else found
        return Response(encode_rows(rows, self.format), media_type=MEDIA_TYPES[self.format])

    async def of_mart(self, answer: Callable[..., dict[str, Any]], **arguments: Any) -> Response:
        """Return what ``answer`` gives for the published mart."""

        def ask() -> dict[str, Any]:
            with closing(open_mart(self.lake)) as mart, deadline(mart, self.options.timeout_s):
                return answer(mart, datetime.now(UTC), self.options.few, **arguments)

        return await self.run(ask)


def _asking(
    request: Request,
    data: Annotated[Source, Query(description="live, or the synthetic market of `portolan demo-data`")] = "live",
    format: Annotated[FileFormat | None, Query(description="Else the header Accept decides")] = None,
) -> _Asking:
    options: AnalyticsOptions = request.app.state.options
    if options.token and not secrets.compare_digest(request.headers.get(TOKEN_HEADER, ""), options.token):
        raise BadQuestion("This address is for the router; ask it under /api/v1", 401)
    scope = request.headers.get(SCOPE_HEADER, ALL_KEYS)
    lake = options.lake.demo if data == "demo" else options.lake
    key_hash = None if scope == ALL_KEYS else scope
    format_ = asked_format(format, request.headers.get("accept", ""))
    return _Asking(options, lake, key_hash, format_, request.app.state.slots)


Asking = Annotated[_Asking, Depends(_asking)]


@router.get("/analytics/meta", summary="Metrics, dimensions, operators and granularities")
def analytics_meta(_asking: Asking) -> dict[str, Any]:
    metrics = [
        {"name": name, "display_label": one.label, "is_rate": one.is_rate, "display_format": one.format}
        for name, one in METRICS.items()
    ]
    return {
        "data": {
            "metrics": metrics,
            "dimensions": [{"name": name, "display_label": one.label} for name, one in DIMENSIONS.items()],
            "operators": [
                {"name": name, "value_type": "array" if takes_list else "scalar"}
                for name, takes_list in OPERATORS.items()
            ],
            "granularities": [{"name": name, "display_label": name.capitalize()} for name in GRANULARITIES],
        }
    }


@router.post("/analytics/query", summary="Metrics by dimensions and periods")
async def analytics_query(query: AnalyticsQuery, asking: Asking) -> Response:
    def ask() -> dict[str, Any]:
        found = answer_query(query, asking.lake, asking.key_hash, datetime.now(UTC), asking.options.timeout_s)
        counts = {"query_time_ms": found.query_time_ms, "row_count": len(found.rows), "truncated": found.truncated}
        answer: dict[str, Any] = {"data": found.rows, "metadata": counts}
        return {"data": answer | ({"warnings": found.warnings} if found.warnings else {})}

    return await asking.run(ask)


@router.get("/activity", summary="Use of each endpoint in the last 30 days that have ended")
async def get_activity(
    asking: Asking,
    date: str | None = None,
    api_key_hash: str | None = None,
    user_id: str | None = None,
    group_by: Literal["workspace"] | None = None,
    workspace_id: str | None = None,
) -> Response:
    if user_id is not None:
        raise BadQuestion("There are no members here whose activity user_id could name; use api_key_hash")
    if asking.key_hash is not None and api_key_hash not in (None, asking.key_hash):
        raise BadQuestion("api_key_hash names another key; a management key sees all of them", 404)

    def ask() -> dict[str, Any]:
        rows = activity(
            asking.lake,
            datetime.now(UTC),
            day=date,
            key_hash=asking.key_hash or api_key_hash,
            workspace=workspace_id,
            by_workspace=group_by is not None,
            timeout_s=asking.options.timeout_s,
        )
        return {"data": rows}

    return await asking.run(ask)


@router.get("/datasets/rankings-daily", summary="Models by tokens in each day, week or month")
async def get_rankings_daily(
    asking: Asking,
    start_date: str | None = None,
    end_date: str | None = None,
    period: Period | None = None,
    modality: Modality | None = None,
    context_bucket: Bucket | None = None,
    category: Annotated[str | None, Query(max_length=64)] = None,
    language_type: Literal["natural", "programming"] | None = None,
) -> Response:
    return await asking.of_mart(
        rankings_daily,
        start_date=start_date,
        end_date=end_date,
        period=period,
        modality=modality,
        context_bucket=context_bucket,
        category=category,
        language_type=language_type,
    )


@router.get("/datasets/app-rankings", summary="Apps by tokens or by growth")
async def get_app_rankings(
    asking: Asking,
    category: str | None = None,
    subcategory: str | None = None,
    sort: Literal["popular", "trending"] = "popular",
    start_date: str | None = None,
    end_date: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Annotated[int, Query(ge=0, le=100)] = 0,
) -> Response:
    if category is not None or subcategory is not None:
        raise BadQuestion("Apps have no categories here; leave category and subcategory out")
    return await asking.of_mart(
        app_rankings, sort=sort, start_date=start_date, end_date=end_date, limit=limit, offset=offset
    )


@router.get("/datasets/session-cost", summary="Median cost of a session by app, model and turns")
async def get_session_cost(
    asking: Asking,
    app_slug: str | None = None,
    model: str | None = None,
    turn_range: Literal["1-turn", "2-9-turns", "10-49-turns", "50-plus-turns"] | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=5000)] = 0,
) -> Response:
    return await asking.of_mart(
        session_cost, app_slug=app_slug, model=model, turn_range=turn_range, limit=limit, offset=offset
    )


@router.get("/classifications/task", summary="What requests are about, in shares")
async def get_task_shares(asking: Asking, window: Literal["7d"] = "7d") -> Response:  # noqa: ARG001 (the one there is)
    return await asking.of_mart(task_shares)


def create_analytics_app(options: AnalyticsOptions) -> FastAPI:
    """Return the ASGI application."""
    app = FastAPI(title="Portolan analytics", docs_url=None, redoc_url=None, telemetry={"logs": False})
    app.state.options, app.state.slots = options, asyncio.Semaphore(AT_ONCE)
    app.include_router(router)
    if not options.token:
        # A page on the web whose name resolves to this machine would read what its visitor may.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)

    @app.exception_handler(BadQuestion)
    async def bad_question(_request: Request, error: BadQuestion) -> Response:
        return JSONResponse(envelope(error.code, error.message), status_code=error.code)

    @app.exception_handler(NoMart)
    async def no_mart(_request: Request, error: NoMart) -> Response:
        return JSONResponse(envelope(404, f"N{str(error)[1:]}"), status_code=404)

    @app.exception_handler(duckdb.InterruptException)
    async def too_long(_request: Request, _error: Exception) -> Response:
        message = f"The question took longer than {options.timeout_s:g} s; ask for fewer days or dimensions"
        return JSONResponse(envelope(504, message), status_code=504)

    @app.exception_handler(duckdb.CatalogException)
    async def old_mart(_request: Request, _error: Exception) -> Response:
        message = "The marts are those of an earlier version of Portolan; run 'portolan refresh'"
        return JSONResponse(envelope(404, message), status_code=404)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return JSONResponse(envelope(400, "; ".join(map(sentence, error.errors()[:5]))), status_code=400)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        message = (
            f"There is nothing at {request.method} {request.url.path}" if error.status_code == 404 else error.detail
        )
        return JSONResponse(envelope(error.status_code, message), status_code=error.status_code, headers=error.headers)

    return app
