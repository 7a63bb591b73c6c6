"""Serve the catalogue: models, their endpoints, and providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from data.catalogue.types import Endpoint, Model, Price
from router_service.admission.keys import Key
from router_service.api.listed_models import find_model, listed
from router_service.api.model_feed import MEDIA_TYPE, model_feed
from router_service.api.model_list import (
    ListedModel,
    cheapest,
    modalities,
    next_page,
    page_of,
    select_models,
    supported_parameters,
)
from router_service.api.model_query import OUTPUTS_TEXT, REGION_TEXT, ModelQuery, Outputs, Paging, Region
from router_service.api.pricing_json import pricing
from router_service.api.schemas.catalogue_bodies import (
    EndpointListBody,
    ModelCountBody,
    ModelListBody,
    OneModelBody,
    OneModelEndpointsBody,
    ProviderListBody,
    RetrievedModelBody,
)
from router_service.api.schemas.described import responds
from router_service.api.services import require_key, services_of
from router_service.core.errors import ApiError
from router_service.health import Health
from router_service.health.percentiles import MeasuredPercentiles

router = APIRouter()


class CountQuery(BaseModel):
    """Hold the filters of the count of models."""

    output_modalities: Outputs = Field("text", description=OUTPUTS_TEXT)
    region: Region | None = Field(None, description=REGION_TEXT)


@router.get("/models", summary="List models", **responds(ModelListBody))
def list_models(request: Request, query: Annotated[ModelQuery, Query()]) -> Any:
    """Return the models that pass all filters; with `use_rss` as a feed."""
    services = services_of(request)
    found = select_models(listed(request), query, services.model_usage.of_last_week, services.health)
    if (query.use_rss or "").lower() == "true":
        feed = model_feed((one.model for one in page_of(found, query)), str(request.base_url).rstrip("/"))
        return Response(feed, media_type=MEDIA_TYPE)
    return _list_json(request, found, query)


@router.get("/models/user", summary="List the models that a key may use", **responds(ModelListBody, keyed=True))
def list_user_models(
    request: Request, paging: Annotated[Paging, Query()], key: Key = Depends(require_key)
) -> dict[str, Any]:
    """Return models by the endpoints that the rules of the installation, the regional host and the key allow."""
    constraints = services_of(request).admission.constraints(key, dict(request.scope["headers"]))
    allowed = (
        ListedModel(one.model, tuple(e for e in one.endpoints if constraints.allows(e))) for one in listed(request)
    )
    return _list_json(request, [one for one in allowed if one.endpoints], paging)


@router.get("/embeddings/models", summary="List embeddings models", **responds(ModelListBody))
def list_embeddings_models(request: Request, paging: Annotated[Paging, Query()]) -> dict[str, Any]:
    return _list_json(request, [one for one in listed(request) if one.model.task == "embeddings"], paging)


@router.get("/models/count", summary="Count models", **responds(ModelCountBody))
def count_models(request: Request, query: Annotated[CountQuery, Query()]) -> dict[str, Any]:
    services = services_of(request)
    wanted = ModelQuery(output_modalities=query.output_modalities, region=query.region)
    found = select_models(listed(request), wanted, services.model_usage.of_last_week, services.health)
    return {"data": {"count": len(found)}}


@router.get("/models/{author}/{slug}", summary="One model, also for OpenAI's SDKs", **responds(RetrievedModelBody))
def retrieve_model(author: str, slug: str, request: Request) -> dict[str, Any]:
    """Return the model as the reference does, under ``data``, and beside it as OpenAI's SDKs read it."""
    found: dict[str, Any] = one_model(author, slug, request)["data"]
    beside = {"id": found["id"], "object": "model", "created": found["created"], "owned_by": author}
    return beside | {"data": found}


@router.get("/model/{author}/{slug}", summary="One model", **responds(OneModelBody))
def one_model(author: str, slug: str, request: Request) -> dict[str, Any]:
    model, endpoints = find_model(request, author, slug)
    if not endpoints:
        raise ApiError("not_found", f"{model.id} has no endpoint here: no provider's key is set, or none is in region")
    return {"data": model_json(model, endpoints)}


@router.get("/endpoints/zdr", summary="List endpoints that retain no data", **responds(EndpointListBody))
async def list_zdr_endpoints(request: Request) -> dict[str, Any]:
    """Return the endpoints that are known to retain no data. Latency and throughput require a key."""
    health, speeds = services_of(request).health, await _may_see_speeds(request)
    return {
        "data": [
            _endpoint_json(endpoint, one.model, health, speeds)
            for one in listed(request)
            for endpoint in one.endpoints
            if endpoint.data_policy.retains is False
        ]
    }


@router.get("/models/{author}/{slug}/endpoints", summary="List a model's endpoints", **responds(OneModelEndpointsBody))
async def list_endpoints(author: str, slug: str, request: Request) -> dict[str, Any]:
    """Return a model's endpoints. Latency and throughput require a key, uptime does not, as in the reference."""
    model, endpoints = find_model(request, author, slug)
    health, speeds = services_of(request).health, await _may_see_speeds(request)
    return {
        "data": {
            "id": model.id,
            "name": model.name,
            "created": model.created,
            "description": model.description,
            "architecture": _architecture(model),
            "endpoints": [_endpoint_json(e, model, health, speeds) for e in endpoints],
        }
    }


@router.get("/providers", summary="List providers", **responds(ProviderListBody))
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


def _list_json(request: Request, models: Sequence[ListedModel], paging: Paging) -> dict[str, Any]:
    total = len(models)
    return {
        "data": [model_json(*one) for one in page_of(models, paging)],
        "total_count": total,
        "links": {"next": next_page(request.url.path, request.query_params.multi_items(), paging, total)},
    }


async def _may_see_speeds(request: Request) -> bool:
    try:
        return bool(await require_key(request))
    except ApiError:
        return False


def _architecture(model: Model) -> dict[str, Any]:
    inputs, outputs = modalities(model)
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": model.tokenizer,
        "instruct_type": None,
    }


def model_json(model: Model, endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """Return the reference's ``Model``; price and limits are those of the cheapest endpoint of the default tier."""
    top, price = cheapest(endpoints)
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
        "pricing": pricing(price),
        "top_provider": {
            "context_length": top.context_length,
            "max_completion_tokens": top.max_completion_tokens,
            "is_moderated": bool(top.moderated),
        },
        "per_request_limits": None,
        "supported_parameters": supported_parameters(e for e in endpoints if e.task == "chat"),
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
        # The reference names the parameters of chat alone here.
        "supported_parameters": sorted(endpoint.supported_parameters) if endpoint.task == "chat" else [],
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
