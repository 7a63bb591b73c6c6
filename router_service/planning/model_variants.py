"""Parse a model id: a canonical id or an alias, with suffixes that change the routing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data.catalogue.types import Catalogue, Endpoint, Task
from router_service.core.preferences import Preferences
from router_service.planning.availability import unknown_model, wrong_task
from router_service.planning.service_tiers import admitted_endpoints

# A suffix maps to its sort and to the service tier that it admits. The last sort applies, as in the reference.
ROUTING_VARIANTS = {"nitro": ("throughput", "priority"), "floor": ("price", "flex"), "exacto": ("exacto", None)}
# The reference has these suffixes, and Portolan does not. The text names the alternative.
NOT_OFFERED = {
    "thinking": "it is deprecated; send reasoning: {'enabled': true} with the plain id",
    "online": "it is deprecated and there is no web search here; send the search results in messages",
    "extended": "it is deprecated and no model offers it; send the plain id",
    "batch": "there are no batch endpoints here; send the plain id",
}


class RequestedModel(NamedTuple):
    """Describe one requested model. ``tiers`` are the service tiers that its suffixes admit."""

    requested: str
    model: str
    free: bool = False
    sort: str | None = None
    tiers: tuple[str, ...] = ()


def parse_model(requested: str, catalogue: Catalogue, task: Task = "chat") -> RequestedModel:
    """Return the model that ``requested`` names, which is one for ``task``.

    Raises ``ApiError`` 400 for an unknown id, a suffix that is not offered, or a model for another task.
    """
    if ":" not in requested and (plain := catalogue.resolve(requested)) is not None:
        return RequestedModel(requested, _checked(plain, requested, catalogue, task))
    base, suffixes = _split(requested)
    for suffix in suffixes:
        if suffix in NOT_OFFERED:
            raise unknown_model(requested, catalogue, f"its suffix :{suffix} is not offered: {NOT_OFFERED[suffix]}")
    model = catalogue.resolve(base)
    if model is None:
        raise unknown_model(requested, catalogue, task=task)
    _checked(model, requested, catalogue, task)
    routing = [ROUTING_VARIANTS[suffix] for suffix in suffixes if suffix in ROUTING_VARIANTS]
    sort = routing[-1][0] if routing else None
    return RequestedModel(
        requested, model, "free" in suffixes, sort, tuple(sorted({tier for _, tier in routing if tier}))
    )


def _checked(model: str, requested: str, catalogue: Catalogue, task: Task) -> str:
    known = catalogue.models.get(model)
    if known is not None and known.task != task:
        raise wrong_task(requested, known.task, task)
    return model


class ListedEndpoints(NamedTuple):
    """Split the endpoints of a model id; ``other_tiers`` are those that another requested service tier would add."""

    endpoints: tuple[Endpoint, ...]
    other_tiers: tuple[Endpoint, ...]


def endpoints_listed(
    endpoints: Sequence[Endpoint], wanted: RequestedModel, preferences: Preferences, tier: str | None = None
) -> ListedEndpoints:
    """Return the endpoints that the id lists as it was written, before any preference excludes one.

    ``:free`` lists the endpoints of price 0, and the plain id those with a price, or all if none has a price. An
    endpoint of a service tier is listed if the requested ``tier``, a suffix, ``only`` or ``order`` admits it.
    """
    kept = admitted_endpoints(endpoints, wanted.tiers, preferences, tier)
    if wanted.free:
        return ListedEndpoints(tuple(e for e in kept if e.free), ())
    others = () if len(kept) == len(endpoints) else tuple(e for e in endpoints if e not in kept and not e.free)
    return ListedEndpoints(tuple(e for e in kept if not e.free) or tuple(kept), others)


def _split(requested: str) -> tuple[str, list[str]]:
    base = requested
    suffixes: list[str] = []
    while ":" in base:
        rest, _, last = base.rpartition(":")
        # Any other colon belongs to the id, for example in amazon.nova-pro-v1:0.
        if last != "free" and last not in ROUTING_VARIANTS and last not in NOT_OFFERED:
            break
        base = rest
        suffixes.insert(0, last)
    return base, suffixes
