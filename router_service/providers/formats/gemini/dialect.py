"""Read how a provider of the format differs from the defaults."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.providers.formats.gemini.names import DIALECT


class GeminiDialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Say what a provider takes.

    ``reasoning_format`` is the reference's name of the kind of token that it signs with; what a server without one has
    signed is valid there alone, so its parts have to name their origin. ``only`` are regular expressions of the models,
    by their lower-case name, that take a parameter, or images to embed, which others refuse. ``predicts`` is true where
    embeddings are asked for by ``predict``, which takes texts alone; ``max_inputs`` is how many a request may have.
    """

    reasoning_format: str | None = None
    only: dict[str, str] = {}
    predicts: bool = False
    max_inputs: int = 100

    def takes(self, parameter: str, upstream_model: str) -> bool:
        """Return whether the model takes ``parameter``."""
        pattern = self.only.get(parameter)
        return pattern is None or re.search(pattern, upstream_model.lower()) is not None


_DEFAULT = GeminiDialect()


def gemini_dialect_at(endpoint: Endpoint) -> GeminiDialect:
    """Return the dialect of an endpoint: the one that its provider's configuration names, else the provider's own."""
    return _gemini_rows().get(endpoint.dialect or endpoint.provider, _DEFAULT)


@lru_cache(maxsize=256)
def gemini_token_format(origin: str) -> str | None:
    """Return the kind of token with which ``origin``, the origin of a part of this format, signs."""
    dialect, _, provider = origin.partition("/")
    return _gemini_rows().get(provider, _DEFAULT).reasoning_format if dialect == DIALECT else None


@cache
def _gemini_rows() -> dict[str, GeminiDialect]:
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text).get(DIALECT, {})
    return msgspec.convert(rows, dict[str, GeminiDialect])
