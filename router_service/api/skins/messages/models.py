"""Resolve model names as Anthropic's clients write them."""

from __future__ import annotations

import re

from data.catalogue.aliases import undated
from data.catalogue.types import Catalogue

# Claude Code writes ``[1m]`` after the name of a model whose context of a million tokens it uses.
_CONTEXT = re.compile(r"\[\w+\]$")
_LATEST = "-latest"


class _VendorIndex:
    """Map the names at the end of canonical ids and of upstream ids to models, where they name one model alone."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        found: dict[str, set[str]] = {}
        for alias, model in catalogue.aliases.items():
            found.setdefault(alias.rpartition("/")[2].lower(), set()).add(model)
        for model, endpoints in catalogue.endpoints.items():
            names = {model, *(endpoint.upstream_model for endpoint in endpoints)}
            for name in names:
                for spelling in (name, name.rpartition("/")[2]):
                    found.setdefault(spelling.lower(), set()).add(model)
        self.names = {name: models.pop() for name, models in found.items() if len(models) == 1}


_index: _VendorIndex | None = None


def resolve_vendor_id(name: str, catalogue: Catalogue) -> str | None:
    """Return the canonical id of ``name``, or ``None`` for no model.

    ``name`` is any id of the router, or a provider's own: with or without the author, a date, ``-latest`` or the mark
    of a long context. A variant such as ``:nitro`` stays.
    """
    global _index
    if _index is None or _index.catalogue is not catalogue:
        _index = _VendorIndex(catalogue)
    index = _index
    plain = _CONTEXT.sub("", name.strip())
    found = _resolved(plain, index)
    if found is None and ":" in plain:
        stem, _, variant = plain.rpartition(":")
        found = _resolved(stem, index)
        return f"{found}:{variant}" if found else None
    return found


def _resolved(name: str, index: _VendorIndex) -> str | None:
    for spelling in _spellings(name):
        found = index.catalogue.resolve(spelling) or index.names.get(spelling.lower())
        if found:
            return found
    return None


def _spellings(name: str) -> list[str]:
    lower = name.lower()
    stem = lower.removesuffix(_LATEST)
    found = [name, lower]
    if stem != lower:
        author, slash, bare = lower.rpartition("/")
        found += [f"~{author}{slash}{bare}", bare, stem]
    plain = undated(stem)
    return [*found, plain] if plain else found
