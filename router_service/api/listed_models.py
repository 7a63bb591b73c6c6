"""Find models and their endpoints as the requested host lists them: a regional host shows those of its region."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request

from data.catalogue.types import Endpoint, Model
from router_service.api.model_list import ListedModel, in_regions
from router_service.api.services import services_of
from router_service.core.errors import ApiError


def listed(request: Request) -> Iterator[ListedModel]:
    """Yield the models that have endpoints in the region of the requested host."""
    services = services_of(request)
    region = host_region(request)
    for model in services.catalogue.models.values():
        if offers := in_regions(services.endpoints.get(model.id, ()), (region,)):
            yield ListedModel(model, offers)


def find_model(request: Request, author: str, slug: str) -> tuple[Model, tuple[Endpoint, ...]]:
    """Return a model and its endpoints in the region of the requested host, which may be none.

    Raises ``ApiError`` 404 for a name that the catalogue does not have.
    """
    services = services_of(request)
    name = services.catalogue.resolve(f"{author}/{slug}")
    if name is None:
        raise ApiError("not_found", f"{author}/{slug} is not a valid model ID; GET /api/v1/models lists them")
    return services.catalogue.models[name], in_regions(services.endpoints.get(name, ()), (host_region(request),))


def host_region(request: Request) -> str | None:
    """Return the region of the requested host, or ``None`` for a host without one."""
    host = services_of(request).admission.hosts.find(dict(request.scope["headers"]))
    return host.region if host else None
