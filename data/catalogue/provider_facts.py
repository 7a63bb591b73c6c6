"""Look up the known facts on privacy, region, licence and prompt cache of an offer.

A fact that is not recorded is unknown.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, get_args

from data.catalogue.types import CACHE_LIFETIME_S, CancellationFact, CancellationPolicy, DataPolicy

# Suffixes of a serving that name its region; "global" names none.
REGIONS = frozenset({"us", "eu", "apac", "jp", "au"})
UNKNOWN = DataPolicy()


@cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("provider_facts.toml").read_text())


@cache
def data_policy(provider: str) -> DataPolicy:
    """Return the stated data policy of ``provider``; source in ``provider_facts.toml``."""
    fact = _facts()["data"].get(provider)
    return DataPolicy(fact.get("trains"), fact.get("retains"), fact["source"]) if fact else UNKNOWN


def region_of(provider: str, serving: str | None) -> str | None:
    """Return the region of an endpoint: the one its suffix names, else the one known for all of the provider's."""
    named = [word for word in (serving or "").split("-") if word in REGIONS]
    found: str | None = named[0] if named else _facts()["regions"].get(provider)
    return found


def datacenters_of(provider: str) -> tuple[str, ...]:
    """Return the countries (ISO 3166-1 alpha-2) of all the provider's datacentres; empty where they are not known."""
    return tuple(_facts()["datacenters"].get(provider, ()))


def moderated(provider: str) -> bool | None:
    """Return true if ``provider`` is known to filter content, else ``None``: no provider states that it does not."""
    return True if provider in _facts()["moderated"] else None


@cache
def distillable(model: str) -> bool:
    """Return true if the author of canonical ``model`` is known to allow training on its outputs."""
    return any(re.fullmatch(pattern, model) for pattern in _facts()["distillable"]["models"])


@cache
def cache_lifetime(provider: str) -> float:
    """Return the time for which ``provider`` caches a prompt after its last use, seconds; source in ``caches.toml``."""
    facts = tomllib.loads(resources.files("data.catalogue").joinpath("caches.toml").read_text())
    fact = facts.get(provider)
    return float(fact["lifetime_s"]) if fact else CACHE_LIFETIME_S


@cache
def cancellation_of(provider: str) -> CancellationFact | None:
    """Return what ``provider`` does when its caller disconnects, ``None`` where nothing documents it."""
    text = resources.files("data.catalogue").joinpath("cancellation.toml").read_text(encoding="utf-8")
    policies: tuple[CancellationPolicy, ...] = get_args(CancellationPolicy)
    for fact in tomllib.loads(text)["facts"]:
        for policy in policies:
            if provider in fact[policy]:
                return CancellationFact(policy, fact["source"], fact["read"])
    return None
