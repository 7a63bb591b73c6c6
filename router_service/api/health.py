"""Serve ``/health`` and ``/metrics`` for monitoring."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from router_service.api.schemas.described import responds
from router_service.api.schemas.record_bodies import HealthBody
from router_service.api.services import services_of
from router_service.telemetry.metrics import render

router = APIRouter()


@router.get("/health", summary="Health of the router", **responds(HealthBody))
def health(request: Request) -> JSONResponse:
    """Return status 200 while requests can be served and logged, 503 while the log cannot be written."""
    services = services_of(request)
    policy = services.policies.current
    log = services.log
    body = {
        "status": "ok" if log.healthy else "log_unwritable",
        "models": sum(1 for offers in services.endpoints.values() if offers),
        "endpoints": sum(len(offers) for offers in services.endpoints.values()),
        "catalogue_version": services.catalogue.version,
        "policy_version": policy.version if policy else None,
        "policy_failures": services.policies.failures,
        "outages": sorted(services.health.outages),
        "log": {
            "written": log.written,
            "dropped": log.dropped,
            "waiting": log.waiting,
            "unlogged": log.unlogged,
            "required": services.log_required,
        },
        "keys": {"known": services.admission.keys.count, "stale_reads": services.admission.keys.stale},
    }
    return JSONResponse(body, status_code=200 if log.healthy else 503)


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    services = services_of(request)
    content = render(
        services.log,
        services.policies.failures,
        services.peers,
        services.hedging,
        unrecorded_refusals=services.refusals.unrecorded,
    )
    return Response(content, media_type="text/plain; version=0.0.4")


@router.get("/api", include_in_schema=False)
async def answer_probe() -> Response:
    """Return an empty 200: Claude Code asks for its head to learn whether the address answers at all."""
    return Response()
