"""The ``provider`` object of a request: what the client wants of the route."""

from __future__ import annotations

import msgspec

from router_service.contract.errors import ApiError

SORTS = ("price", "throughput", "latency")


class Sort(msgspec.Struct, frozen=True):
    by: str
    partition: str = "model"


class MaxPrice(msgspec.Struct, frozen=True):
    """USD per million tokens."""

    prompt: float | str | None = None
    completion: float | str | None = None


class Preferences(msgspec.Struct, frozen=True):
    """Fields that this version obeys; further fields of the reference are accepted and ignored."""

    order: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    allow_fallbacks: bool | None = True
    require_parameters: bool | None = False
    sort: str | Sort | None = None
    max_price: MaxPrice | None = None
    quantizations: tuple[str, ...] | None = None

    @property
    def sort_by(self) -> str | None:
        return self.sort.by if isinstance(self.sort, Sort) else self.sort


NONE = Preferences()


def parse(raw: bytes) -> Preferences:
    """Preferences of the JSON ``raw``. Raises ``ApiError`` 400 naming the field that is wrong."""
    try:
        preferences = msgspec.json.decode(raw, type=Preferences)
    except msgspec.ValidationError as error:
        raise ApiError("invalid_request", f"provider: {error}") from None
    if preferences.sort_by is not None and preferences.sort_by not in SORTS:
        choices = ", ".join(SORTS)
        raise ApiError("invalid_request", f"provider.sort must be one of {choices}; got {preferences.sort_by!r}")
    limit = preferences.max_price
    for name in ("prompt", "completion") if limit else ():
        try:
            float(getattr(limit, name) or 0)
        except ValueError:
            raise ApiError("invalid_request", f"provider.max_price.{name} must be a number of USD") from None
    return preferences


def matches(slug: str, tag: str, name: str) -> bool:
    """Whether a request's ``slug`` names the endpoint ``tag``, its base slug, or its provider's display ``name``."""
    wanted = slug.lower()
    return wanted == tag or tag.split("/", 1)[0] == wanted or wanted == name.lower()
