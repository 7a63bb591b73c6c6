"""Serve ``GET /generation?id=``, the metadata of a request, and ``GET /generation/explain?id=``, its explanation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Query, Request

from data.catalogue.tiers import tier_of
from router_service.admission.keys import Key
from router_service.api.schemas.described import SECURITY, responds
from router_service.api.schemas.record_bodies import ExplanationBody, GenerationBody
from router_service.api.services import Services, require_key, services_of
from router_service.core.errors import ApiError
from router_service.explanations.explain import explain
from router_service.telemetry.lookup import find_on_disk

router = APIRouter()
NANO = 1e9
# The reference's names of tasks, where they differ.
API_TYPES = {"chat": "completions", "images": "image"}


@router.get("/generation", summary="Metadata of one generation", **responds(GenerationBody, keyed=True))
async def get_generation(
    request: Request, id: str = Query(min_length=1, max_length=128), key: Key = Depends(require_key)
) -> dict[str, Any]:
    services = services_of(request)
    return {"data": generation_json(await _find(id, key, services), services)}


@router.get(
    "/generation/content", summary="Content of one generation", status_code=404, openapi_extra={"security": SECURITY}
)
async def get_generation_content(
    request: Request, id: str = Query(min_length=1, max_length=128), key: Key = Depends(require_key)
) -> dict[str, Any]:
    """Respond with 404: no content of a request or of a response is stored."""
    await _find(id, key, services_of(request))
    raise ApiError(
        "not_found",
        f"Generation {id} has no content: this router does not log prompts and completions. GET /api/v1/generation "
        "has its metadata",
    )


@router.get(
    "/generation/explain", summary="Why a generation went where it went", **responds(ExplanationBody, keyed=True)
)
async def explain_generation(
    request: Request, id: str = Query(min_length=1, max_length=128), key: Key = Depends(require_key)
) -> dict[str, Any]:
    """Return candidates, scores, exclusions, the draw replayed from the log, attempts, and a summary in words."""
    services = services_of(request)
    row = await _find(id, key, services)
    return {"data": explain(row, {slug: provider.name for slug, provider in services.catalogue.providers.items()})}


async def _find(id: str, key: Key, services: Services) -> dict[str, Any]:
    row = services.records.find(id) or await asyncio.to_thread(find_on_disk, services.lake, id)
    if row is None or row["key_hash"] != key.hash:
        raise ApiError("not_found", f"Generation {id} not found. It may be a second old: ask again, then check the id")
    return row


def generation_json(row: dict[str, Any], services: Services) -> dict[str, Any]:
    """Convert a log row to the reference's generation object; durations are in milliseconds, costs in USD."""
    cost = row["cost_nano"] / NANO
    provider = services.catalogue.providers.get(row["provider"] or "")
    ttft, duration = row["ttft_us"], row["duration_us"]
    return {
        "id": row["generation_id"],
        "upstream_id": row["upstream_id"],
        "request_id": row["generation_id"],
        "created_at": datetime.fromtimestamp(row["started_at"] / 1e6, UTC).isoformat(),
        "model": row["model"] or row["requested_model"],
        "provider_name": provider.name if provider else None,
        "router": None,
        "origin": row["app"] or "",
        "app_id": None,
        "http_referer": row["app"],
        "user_agent": row.get("user_agent"),
        "external_user": None,
        "session_id": row["session_id"],
        "preset_id": None,
        "workspace_id": None,
        "data_region": data_region(row.get("data_region")),
        "api_type": API_TYPES.get(row.get("task") or "chat", row.get("task")),
        "streamed": row["stream"],
        "cancelled": row["cancelled"],
        # The reference has no field for what a cancelled response cost and why.
        **_cancellation_json(row),
        "finish_reason": row["finish_reason"],
        "native_finish_reason": row["native_finish_reason"],
        "tokens_prompt": row["prompt_tokens"],
        "tokens_completion": row["completion_tokens"],
        "native_tokens_prompt": row["prompt_tokens"],
        "native_tokens_completion": row["completion_tokens"],
        "native_tokens_reasoning": row["reasoning_tokens"],
        "native_tokens_cached": row["cached_tokens"],
        "native_tokens_completion_images": None,
        "num_media_prompt": None,
        "num_media_completion": None,
        "num_input_audio_prompt": None,
        "num_search_results": None,
        "num_fetches": None,
        "web_search_engine": None,
        "latency": None if ttft is None else ttft / 1000,
        "generation_time": None if ttft is None else (duration - ttft) / 1000,
        "moderation_latency": None,
        "usage": cost,
        "total_cost": cost,
        "cache_discount": None,
        "upstream_inference_cost": cost,
        "is_byok": False,
        "service_tier": row.get("service_tier"),
        "provider_responses": [_attempt_json(a, services) for a in row["attempts"]],
    }


def _cancellation_json(row: dict[str, Any]) -> dict[str, Any]:
    policy = row.get("cancellation_policy")
    if policy is None:
        return {}
    received, estimated = row["received_tokens"], row["cost_estimated"]
    return {"cancellation": {"policy": policy, "received_tokens": received, "cost_estimated": estimated}}


def data_region(regions: str | None) -> str:
    """Return the reference's name for a record's regions: ``global``, ``europe``, ``us``; others stay unchanged."""
    return {None: "global", "eu": "europe"}.get(regions, regions or "")


def _attempt_json(attempt: dict[str, Any], services: Services) -> dict[str, Any]:
    provider = services.catalogue.providers.get(attempt["provider"])
    tier = tier_of(attempt["endpoint"])
    return {
        "endpoint_id": attempt["endpoint"],
        "provider_name": provider.name if provider else attempt["provider"],
        "model_permaslug": attempt["model"],
        "status": attempt["status"],
        "latency": None if attempt["duration_us"] is None else attempt["duration_us"] / 1000,
        "is_byok": False,
        # The reference has this field only where a tier was routed to, and never as null.
        **({} if tier is None else {"routed_service_tier": tier}),
    }
