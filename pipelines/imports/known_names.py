"""Resolve the models and providers that other routers name to those of the catalogue."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from importlib import resources

from data.catalogue.names import resolve_name
from data.catalogue.types import Catalogue
from pipelines.imports.fields import RowRejected

MAX_UNKNOWN = 1000
_AUTHOR_AND_SLUG = re.compile(r"[a-z0-9~][a-z0-9._-]*/[a-z0-9][a-z0-9._:-]*")
_VARIANT = re.compile(r":[a-z0-9-]+$")


class KnownNames:
    """Resolve names by ``catalogue`` and by ``given``, which maps a foreign model to a canonical id.

    ``unknown`` counts the rows of each name that the catalogue does not have, for the first ``MAX_UNKNOWN`` names.
    """

    def __init__(self, given: Mapping[str, str] | None, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._given = dict(given or {})
        self._models: dict[tuple[str | None, str], str | None] = {}
        self._providers: dict[str, str] = {}
        for provider in self._catalogue.providers.values():
            self._providers[_bare(provider.name)] = provider.slug
        for slug in self._catalogue.providers:
            self._providers[_bare(slug)] = slug
        source = resources.files("pipelines.imports").joinpath("provider_names.toml").read_text(encoding="utf-8")
        for name, slug in tomllib.loads(source)["names"].items():
            if slug in self._catalogue.providers:
                self._providers[_bare(name)] = slug
        self.unknown: Counter[str] = Counter()

    def model(self, written: str, provider: str | None = None) -> str:
        """Return the canonical id of a model.

        A model that the catalogue no longer has keeps its name if that has the form ``author/slug``. Raises
        ``RowRejected`` for any other.
        """
        key = (provider, written)
        if key not in self._models:
            if len(self._models) > MAX_UNKNOWN * 10:
                self._models.clear()
            self._models[key] = self._find(written, provider)
        found = self._models[key]
        if found is None:
            raise RowRejected(f"the model {written[:80]!r} names no author; give it one with --map NAME=author/slug")
        if found not in self._catalogue.models:
            self._count(f"model {found}")
        return found

    def provider(self, written: str | None) -> str | None:
        """Return the slug of a provider; one that the catalogue does not have keeps its name as a slug."""
        if written is None:
            return None
        found = self._providers.get(_bare(written))
        if found is None:
            found = re.sub(r"[^a-z0-9]+", "-", written.lower()).strip("-") or None
            self._count(f"provider {found}")
        return found

    def endpoint(self, model: str, provider: str | None) -> str | None:
        """Return the id of the provider's endpoint of a model, or ``None`` where it has none or several."""
        offers = [one for one in self._catalogue.endpoints.get(model, ()) if one.provider == provider]
        return offers[0].id if len(offers) == 1 else None

    def _find(self, written: str, provider: str | None) -> str | None:
        given = self._given.get(written)
        if given is not None:
            return self._catalogue.resolve(given) or given
        plain = _VARIANT.sub("", written.strip())
        found = self._catalogue.resolve(written) or self._catalogue.resolve(plain)
        if found is None and (parsed := resolve_name(provider or "", plain)) is not None:
            # The parsed name may be a dated one, which is an alias.
            found = self._catalogue.resolve(parsed.canonical)
        if found is None and "/" in plain:
            *path, slug = plain.lower().split("/")
            plain = f"{path[-1]}/{slug}"
        lowered = plain.lower()
        return found or (lowered if _AUTHOR_AND_SLUG.fullmatch(lowered) else None)

    def _count(self, name: str) -> None:
        if name in self.unknown or len(self.unknown) < MAX_UNKNOWN:
            self.unknown[name] += 1


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
