"""Serve the reference's lists of image models: what each takes, and what its endpoints cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, Request

from data.catalogue.cost import TOKENS_PER_PRICE
from data.catalogue.price import Price
from data.catalogue.types import Endpoint, Model
from router_service.api.listed_models import find_model, listed
from router_service.api.model_list import modalities
from router_service.api.pricing_json import NO_METERS
from router_service.api.schemas.described import responds
from router_service.api.schemas.task_bodies import ImageModelEndpointsBody, ImageModelListBody
from router_service.api.skins.images.parse import ASPECT_RATIOS, MAX_IMAGES
from router_service.core.errors import ApiError

router = APIRouter()
NANO = 1e9
# What each parameter may be, as the reference describes it.
DESCRIPTORS: dict[str, dict[str, Any]] = {
    "aspect_ratio": {"type": "enum", "values": list(ASPECT_RATIOS)},
    "background": {"type": "enum", "values": ["auto", "transparent", "opaque"]},
    "n": {"type": "range", "min": 1, "max": MAX_IMAGES},
    "output_compression": {"type": "range", "min": 0, "max": 100},
    "output_format": {"type": "enum", "values": ["png", "jpeg", "webp"]},
    "quality": {"type": "enum", "values": ["auto", "low", "medium", "high"]},
    "resolution": {"type": "enum", "values": ["1K", "2K"]},
    "seed": {"type": "boolean"},
}


@router.get("/images/models", summary="List image models", **responds(ImageModelListBody))
def list_image_models(request: Request) -> dict[str, Any]:
    return {"data": [_model_json(*one) for one in listed(request) if one.model.task == "images"]}


@router.get(
    "/images/models/{author}/{slug}/endpoints",
    summary="List an image model's endpoints",
    **responds(ImageModelEndpointsBody),
)
def list_image_endpoints(author: str, slug: str, request: Request) -> dict[str, Any]:
    model, offers = find_model(request, author, slug)
    if model.task != "images" or not offers:
        raise ApiError("not_found", f"{author}/{slug} is no image model here; GET /api/v1/images/models lists them")
    return {"id": model.id, "endpoints": [_endpoint_json(endpoint) for endpoint in offers]}


def _model_json(model: Model, offers: tuple[Endpoint, ...]) -> dict[str, Any]:
    inputs, outputs = modalities(model)
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "created": model.created,
        "architecture": {"input_modalities": inputs, "output_modalities": outputs},
        "supported_parameters": _described(name for offer in offers for name in offer.supported_parameters),
        "supports_streaming": False,
        "endpoints": f"/api/v1/images/models/{model.id}/endpoints",
    }


def _endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "provider_name": endpoint.provider_name,
        "provider_slug": endpoint.provider,
        "provider_tag": endpoint.tag,
        "supported_parameters": _described(endpoint.supported_parameters),
        "allowed_passthrough_parameters": [],
        "supports_streaming": False,
        "pricing": list(_pricing(endpoint.price or Price(0, 0))),
    }


def _described(names: Iterable[str]) -> dict[str, Any]:
    return {name: DESCRIPTORS[name] for name in sorted(set(names)) if name in DESCRIPTORS}


def _pricing(price: Price) -> Iterator[dict[str, Any]]:
    """Yield the lines of a price sheet in US dollars: per image, or per token."""
    meters = price.meters or NO_METERS
    if meters.output_image is not None:
        yield {"billable": "output_image", "unit": "image", "cost_usd": meters.output_image / NANO}
    for billable, nano in (
        ("output_image", price.completion if meters.image_output is None else meters.image_output),
        ("input_image", meters.image),
        ("input_text", price.prompt),
    ):
        if nano:
            yield {"billable": billable, "unit": "token", "cost_usd": nano / TOKENS_PER_PRICE / NANO}
