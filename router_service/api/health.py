"""``/health`` and ``/metrics``: for those who watch the process."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from router_service.serving import Serving
from router_service.telemetry.metrics import render

router = APIRouter()


@router.get("/health", summary="Is the router well?")
def health(request: Request) -> JSONResponse:
    """200 while requests can be served and logged; 503 while the log cannot be written."""
    serving: Serving = request.app.state.serving
    policy = serving.policies.current
    log = serving.log
    body = {
        "status": "ok" if log.healthy else "log_unwritable",
        "models": sum(1 for offers in serving.endpoints.values() if offers),
        "endpoints": sum(len(offers) for offers in serving.endpoints.values()),
        "catalogue_version": serving.catalogue.version,
        "policy_version": policy.version if policy else None,
        "policy_failures": serving.policies.failures,
        "outages": sorted(serving.health.outages),
        "log": {"written": log.written, "dropped": log.dropped, "waiting": log.waiting},
    }
    return JSONResponse(body, status_code=200 if log.healthy else 503)


@router.get("/metrics", summary="Prometheus metrics")
def metrics(request: Request) -> Response:
    serving: Serving = request.app.state.serving
    content = render(serving.log, serving.policies.failures, serving.sharing.ways, serving.hedging)
    return Response(content, media_type="text/plain; version=0.0.4")
