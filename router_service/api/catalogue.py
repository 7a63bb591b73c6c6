"""Serve the catalogue: ``/models``, ``/models/{author}/{slug}/endpoints`` and ``/providers``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Query, Request

from data.catalogue.geography import within
from data.catalogue.types import Endpoint, Model, Price
from router_service.api.services import require_key, services_of
from router_service.core.errors import ApiError
from router_service.health import Health
from router_service.health.percentiles import MeasuredPercentiles
from router_service.planning.eligibility import blended_price, processing_locations

router = APIRouter()
REGION = Query(None, description="Only what is known to be processed there: eu, us, or a country's ISO 3166 code.")
MEDIA = ("text", "image", "file", "audio", "video")


@router.get("/models", summary="List models")
def list_models(request: Request, region: str | None = REGION) -> dict[str, Any]:
    services = services_of(request)
    rows = ((model, _offers(request, model.id, region)) for model in services.catalogue.models.values())
    data = [model_json(model, offers) for model, offers in rows if offers]
    return {"data": data, "total_count": len(data), "links": {"next": None}}


@router.get("/models/count", summary="Count models")
def count_models(request: Request, region: str | None = REGION) -> dict[str, Any]:
    models = services_of(request).endpoints
    return {"data": {"count": sum(1 for model in models if _offers(request, model, region))}}


@router.get("/model/{author}/{slug}", summary="One model")
def one_model(author: str, slug: str, request: Request) -> dict[str, Any]:
    model, endpoints = _find(request, author, slug)
    return {"data": model_json(model, endpoints)}


@router.get("/models/{author}/{slug}/endpoints", summary="List a model's endpoints")
async def list_endpoints(author: str, slug: str, request: Request) -> dict[str, Any]:
    """Return a model's endpoints. Latency and throughput require a key, uptime does not, as in the reference."""
    model, endpoints = _find(request, author, slug)
    services = services_of(request)
    try:
        speeds = bool(await require_key(request))
    except ApiError:
        speeds = False
    return {
        "data": {
            "id": model.id,
            "name": model.name,
            "created": model.created,
            "description": model.description,
            "architecture": _architecture(model),
            "endpoints": [_endpoint_json(e, model, services.health, speeds) for e in endpoints],
        }
    }


@router.get("/providers", summary="List providers")
def list_providers(request: Request) -> dict[str, Any]:
    services = services_of(request)
    serves = {endpoint.provider for offers in services.endpoints.values() for endpoint in offers}
    rows = [p for slug, p in services.catalogue.providers.items() if slug in serves]
    return {
        "data": [
            {
                "name": p.name,
                "slug": p.slug,
                "privacy_policy_url": p.privacy_policy_url,
                "terms_of_service_url": p.terms_of_service_url,
                "status_page_url": p.status_page_url,
                "headquarters": p.headquarters,
                "datacenters": list(p.datacenters) or None,
            }
            for p in rows
        ]
    }


def _offers(request: Request, model: str, region: str | None = None) -> tuple[Endpoint, ...]:
    """Return the endpoints of a model that lie in ``region`` and in the region of the requested host."""
    services = services_of(request)
    host = services.admission.hosts.find(dict(request.scope["headers"]))
    offers = services.endpoints.get(model, ())
    for area in (region.lower() if region else None, host.region if host else None):
        offers = offers if area is None else tuple(e for e in offers if within(processing_locations(e), (area,)))
    return offers


def _find(request: Request, author: str, slug: str) -> tuple[Model, tuple[Endpoint, ...]]:
    services = services_of(request)
    name = services.catalogue.resolve(f"{author}/{slug}")
    if name is None:
        raise ApiError("not_found", f"{author}/{slug} is not a valid model ID; GET /api/v1/models lists them")
    return services.catalogue.models[name], _offers(request, name)


def usd_per_token(nano_per_million: int) -> str:
    """Convert nano-USD per million tokens to an exact decimal string of USD per token, without an exponent."""
    value = Decimal(nano_per_million).scaleb(-15).normalize()
    return format(value, "f") if value else "0"


def pricing(price: Price) -> dict[str, Any]:
    """Return the reference's ``pricing`` object: decimal strings of USD per token."""
    rows = {"prompt": usd_per_token(price.prompt), "completion": usd_per_token(price.completion)}
    if price.cache_read is not None:
        rows["input_cache_read"] = usd_per_token(price.cache_read)
    if price.cache_write is not None:
        rows["input_cache_write"] = usd_per_token(price.cache_write)
    return rows


def _architecture(model: Model) -> dict[str, Any]:
    inputs = [m for m in model.input_modalities if m in MEDIA] or ["text"]
    outputs = [m for m in model.output_modalities if m in MEDIA] or ["text"]
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": model.tokenizer,
        "instruct_type": None,
    }


def model_json(model: Model, endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """Return the reference's ``Model``; price and limits are those of the cheapest endpoint of the default tier."""
    priced = [e for e in endpoints if e.price is not None and e.service_tier is None]
    cheapest = min(priced, key=lambda e: (blended_price(e.price) if e.price else 0, e.id))
    assert cheapest.price is not None
    parameters = sorted(frozenset().union(*(e.supported_parameters for e in endpoints)))
    return {
        "id": model.id,
        "canonical_slug": model.id,
        "name": model.name,
        "created": model.created,
        "description": model.description,
        "context_length": model.context_length,
        "hugging_face_id": model.hugging_face_id,
        "knowledge_cutoff": model.knowledge_cutoff,
        "architecture": _architecture(model),
        "pricing": pricing(cheapest.price),
        "top_provider": {
            "context_length": cheapest.context_length,
            "max_completion_tokens": cheapest.max_completion_tokens,
            "is_moderated": bool(cheapest.moderated),
        },
        "per_request_limits": None,
        "supported_parameters": parameters,
        "default_parameters": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{model.id}/endpoints"},
    }


def _endpoint_json(endpoint: Endpoint, model: Model, health: Health, speeds: bool) -> dict[str, Any]:
    tools = "tools" in endpoint.supported_parameters
    return {
        "name": f"{endpoint.provider_name} | {model.id}",
        "model_id": model.id,
        "model_name": model.name,
        "provider_name": endpoint.provider_name,
        "tag": endpoint.tag,
        "context_length": endpoint.context_length,
        "max_prompt_tokens": None,
        "max_completion_tokens": endpoint.max_completion_tokens,
        "pricing": pricing(endpoint.price or Price(0, 0)),
        "quantization": endpoint.quantization,
        # The reference does not have the next three fields; they are null where not known.
        "is_moderated": endpoint.moderated,
        "region": endpoint.region,
        "datacenters": list(endpoint.datacenters) or None,
        "supported_parameters": sorted(endpoint.supported_parameters),
        "supports_implicit_caching": False,
        "supports_voice_cloning": False,
        "supports_diarization": False,
        "supports_tool_choice": {
            "none": tools,
            "auto": tools,
            "required": tools,
            "function": tools,
        },
        "native_tools": {},
        "service_tier": endpoint.service_tier,
        "status": health.status(endpoint.id),
        "uptime_last_5m": health.uptime(endpoint.id, "5m"),
        "uptime_last_30m": health.uptime(endpoint.id, "30m"),
        "uptime_last_1d": health.uptime(endpoint.id, "1d"),
        "latency_last_30m": _percentiles(health.latency_percentiles(endpoint.id, "30m"), 1000) if speeds else None,
        "throughput_last_30m": _percentiles(health.throughput_percentiles(endpoint.id, "30m"), 1) if speeds else None,
    }


def _percentiles(found: MeasuredPercentiles | None, scale: int) -> dict[str, float] | None:
    """Return the reference's ``PercentileStats``: values times ``scale``, which converts latency to milliseconds."""
    return {name: round(value * scale, 2) for name, value in found._asdict().items()} if found else None
