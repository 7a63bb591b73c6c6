"""Look up the addresses of providers that contain something of the operator's account; see ``addresses.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from data.catalogue.types import AddressTemplate, WireFormat

# Names that may stand in braces in an address.
PLACEHOLDERS = frozenset({"account", "api_version", "deployment", "gateway"})
_PLACEHOLDER = re.compile(r"(?<!\$)\{(\w+)\}")


@cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("addresses.toml").read_text(encoding="utf-8"))


@cache
def address_templates(provider: str) -> tuple[AddressTemplate, ...]:
    """Return the addresses of ``provider``, empty where its address is the same for every account."""
    return tuple(msgspec.convert(_facts().get(provider, {}).get("addresses", []), list[AddressTemplate]))


def address_variables(provider: str) -> tuple[tuple[str, str], ...]:
    """Return the values that the addresses of ``provider`` need, each with its environment variable."""
    return tuple(_facts().get(provider, {}).get("variables", {}).items())


def own_key_header(provider: str) -> str | None:
    """Return the header that ``provider`` takes keys in, ``None`` where it is that of the wire format."""
    found: str | None = _facts().get(provider, {}).get("key_header")
    return found


def own_wire_format(provider: str, upstream_model: str) -> WireFormat | None:
    """Return the wire format of a model, where that is not the one of all others at ``provider``."""
    formats: dict[WireFormat, str] = _facts().get(provider, {}).get("formats", {})
    return next((name for name, models in formats.items() if re.search(models, upstream_model.lower())), None)


def template_for(
    templates: Sequence[AddressTemplate], upstream_model: str, wire_format: str, known: Collection[str]
) -> str | None:
    """Return the first address for a model in ``wire_format`` that needs no other values than ``known``."""
    for template in templates:
        fits = template.wire_format in (None, wire_format) and re.search(template.models, upstream_model.lower())
        if fits and placeholders(template.url) <= {*known, "deployment"}:
            return template.url
    return None


def placeholders(url: str) -> set[str]:
    """Return the names that stand in braces in ``url``."""
    return set(_PLACEHOLDER.findall(url))


def filled(url: str, values: dict[str, str]) -> str:
    """Return ``url`` with the values in place of their names. Raises ``KeyError`` for a name without a value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], url)
