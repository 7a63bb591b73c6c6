"""Serve ``/health`` and ``/metrics`` for monitoring."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from data.worker_reports import WorkerReport
from router_service.api.schemas.described import responds
from router_service.api.schemas.record_bodies import HealthBody
from router_service.api.services import services_of
from router_service.telemetry.metrics import render
from router_service.telemetry.worker_board import ServerState

router = APIRouter()
OK, UNWRITABLE, SILENT = "ok", "log_unwritable", "worker_silent"


@router.get("/health", summary="Health of the router", **responds(HealthBody))
def health(request: Request) -> JSONResponse:
    """Return status 200 while all workers can serve and log requests, 503 while one cannot. Numbers are of all."""
    services = services_of(request)
    state = services.workers.state()
    running, counted = state.running, state.all
    status = worst_status(state)
    body = {
        "status": status,
        "models": sum(1 for offers in services.endpoints.values() if offers),
        "endpoints": sum(len(offers) for offers in services.endpoints.values()),
        "catalogue_version": services.catalogue.version,
        "policy_version": running[0].policy_version,
        "policy_failures": sum(one.policy_failures for one in counted),
        "outages": sorted({endpoint for one in running for endpoint in one.outages}),
        "log": {
            "written": sum(one.written for one in counted),
            "dropped": sum(one.dropped for one in counted),
            "waiting": sum(one.waiting for one in running),
            "unlogged": sum(one.unlogged for one in counted),
            "required": services.log_required,
        },
        "keys": {
            "known": min(one.keys_known for one in running),
            "stale_reads": sum(one.keys_stale_reads for one in counted),
        },
        "workers": [
            {
                "worker": one.worker,
                "status": status_of(one, state),
                "catalogue_version": one.catalogue_version,
                "policy_version": one.policy_version,
            }
            for one in sorted(running, key=lambda one: one.worker)
        ],
    }
    return JSONResponse(body, status_code=200 if status == OK else 503)


def status_of(report: WorkerReport, state: ServerState) -> str:
    """Return the status of one worker."""
    if report.worker in state.silent:
        return SILENT
    return OK if report.log_healthy else UNWRITABLE


def worst_status(state: ServerState) -> str:
    """Return the worst status of the workers that run."""
    found = {status_of(one, state) for one in state.running}
    return next(status for status in (UNWRITABLE, SILENT, OK) if status in found)


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Return the metrics of all workers."""
    content = render(services_of(request).workers.state())
    return Response(content, media_type="text/plain; version=0.0.4")


@router.get("/api", include_in_schema=False)
async def answer_probe() -> Response:
    """Return an empty 200: Claude Code asks for its head to learn whether the address answers at all."""
    return Response()
