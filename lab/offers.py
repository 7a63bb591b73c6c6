"""Look up what a provider offers by the names that it has for its models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint


def offered(provider: str, task: str) -> Mapping[str, Endpoint]:
    """Return the endpoints of ``provider`` for ``task`` by their upstream models, none for an unknown provider."""
    return _offers().get((provider, task), {})


@cache
def _offers() -> dict[tuple[str, str], dict[str, Endpoint]]:
    found: dict[tuple[str, str], dict[str, Endpoint]] = {}
    for endpoints in load_catalogue().endpoints.values():
        for one in endpoints:
            found.setdefault((one.provider, one.task), {})[one.upstream_model] = one
    return found
