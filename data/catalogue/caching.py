"""Look up the lifetime of prompts in providers' caches."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from data.catalogue.types import CACHE_LIFETIME_S


@cache
def cache_lifetime(provider: str) -> float:
    """Return the time for which ``provider`` caches a prompt after its last use, seconds; source in ``caches.toml``."""
    facts = tomllib.loads(resources.files("data.catalogue").joinpath("caches.toml").read_text())
    fact = facts.get(provider)
    return float(fact["lifetime_s"]) if fact else CACHE_LIFETIME_S
