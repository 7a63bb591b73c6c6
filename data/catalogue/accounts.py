"""Say which environment variables hold a provider's key, such that a key is sent to one account alone."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("accounts.toml").read_text())


def homes() -> dict[str, str]:
    """Return the provider that each variable belongs to which the source names at several; see ``accounts.toml``.

    A variable that several services share for one account belongs to no provider: its value is an empty string.
    """
    found: dict[str, str] = _facts()["homes"]
    return found


def key_variables(provider: str, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the variables that may hold a key of ``provider``; ``named`` are those that the source names."""
    kept: list[str] = []
    for variable in named:
        if variable not in _facts()["not_keys"]:
            home = homes().get(variable, provider)
            kept.append(variable if home in (provider, "") else own_variable(provider))
    return tuple(dict.fromkeys(kept))


def own_variable(provider: str) -> str:
    """Return the variable that belongs to ``provider`` alone, such as ``MOONSHOTAI_CN_API_KEY``."""
    return f"{re.sub('[^A-Z0-9]+', '_', provider.upper())}_API_KEY"
