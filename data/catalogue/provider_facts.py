"""What is known of an offer's privacy, place and licence. Whatever is not written down is unknown."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from data.catalogue.types import DataPolicy

# Suffixes of a serving that name where it runs ("global" names no place).
REGIONS = frozenset({"us", "eu", "apac", "jp", "au"})
UNKNOWN = DataPolicy()


@cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("policies.toml").read_text())


@cache
def data_policy(provider: str) -> DataPolicy:
    """What ``provider`` says of the prompts sent to it; source in ``policies.toml``."""
    fact = _facts()["data"].get(provider)
    return DataPolicy(fact.get("trains"), fact.get("retains"), fact["source"]) if fact else UNKNOWN


def region_of(provider: str, serving: str | None) -> str | None:
    """Where an endpoint runs: by the suffix of its name, else by what is known of all of the provider's."""
    named = [word for word in (serving or "").split("-") if word in REGIONS]
    found: str | None = named[0] if named else _facts()["regions"].get(provider)
    return found


def datacenters_of(provider: str) -> tuple[str, ...]:
    """Countries (ISO 3166-1 alpha-2) of all of the provider's datacentres; empty where they are not known."""
    return tuple(_facts()["datacenters"].get(provider, ()))


def moderated(provider: str) -> bool | None:
    """Whether ``provider`` is known to filter content; nobody says that he does not."""
    return True if provider in _facts()["moderated"] else None


@cache
def distillable(model: str) -> bool:
    """Whether the author of canonical ``model`` is known to allow training on its answers."""
    return any(re.fullmatch(pattern, model) for pattern in _facts()["distillable"]["models"])
