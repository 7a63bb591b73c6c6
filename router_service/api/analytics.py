"""Serve the analytics API by forwarding it to its own process."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from router_service.admission.keys import Key
from router_service.api.asgi import read_body
from router_service.api.schemas.described import responds
from router_service.api.schemas.record_bodies import AnalyticsBody
from router_service.api.services import require_key, services_of

router = APIRouter()
MAX_QUERY_BYTES = 256 * 1024


async def _forward(request: Request, key: Key = Depends(require_key)) -> Response:
    services = services_of(request)
    body = b""
    if request.method == "POST":
        headers = dict(request.scope["headers"])
        body = await read_body(request.receive, headers, MAX_QUERY_BYTES, services.arriving)
    return await services.analytics.forward(request, _PATHS[request.scope["route"].name], key, body)


def _parameters(*names: str) -> list[dict[str, Any]]:
    """Return query parameters for OpenAPI; all routes take two of ours."""
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in (*names, "data", "format")]


_PAGE = ("limit", "offset")
_ROUTES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "/analytics/meta": ("GET", "Metrics and dimensions of analytics queries", ()),
    "/analytics/query": ("POST", "Metrics by dimensions and periods", ()),
    "/activity": (
        "GET",
        "Use of each endpoint by day",
        ("date", "api_key_hash", "user_id", "group_by", "workspace_id"),
    ),
    "/datasets/rankings-daily": (
        "GET",
        "Models by tokens",
        ("start_date", "end_date", "period", "modality", "context_bucket", "category", "language_type"),
    ),
    "/datasets/app-rankings": (
        "GET",
        "Apps by tokens",
        ("category", "subcategory", "sort", "start_date", "end_date", *_PAGE),
    ),
    "/datasets/session-cost": ("GET", "Cost of sessions", ("app_slug", "model", "turn_range", *_PAGE)),
    "/classifications/task": ("GET", "What requests are about", ("window",)),
}
_PATHS = {f"analytics_{place}": path for place, path in enumerate(_ROUTES)}
_QUERY = {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}
for _name, _path in _PATHS.items():
    _method, _summary, _names = _ROUTES[_path]
    _extra: dict[str, Any] = {"parameters": _parameters(*_names)} | (
        {"requestBody": _QUERY} if _method == "POST" else {}
    )
    _described = responds(AnalyticsBody, keyed=True, **_extra)
    router.add_api_route(_path, _forward, methods=[_method], name=_name, summary=_summary, **_described)
