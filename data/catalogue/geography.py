"""Relate countries, areas and continents."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources


@cache
def _facts() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("geography.toml").read_text())


@cache
def _members(area: str) -> frozenset[str]:
    return frozenset(_facts()["areas"].get(area, "").split())


@cache
def _continents() -> dict[str, str]:
    return {country: name for name, countries in _facts()["continents"].items() for country in countries.split()}


def continents() -> frozenset[str]:
    """Return the names of the continents, such as ``europe`` and ``north-america``."""
    return frozenset(_facts()["continents"])


def continent_of(country: str) -> str | None:
    """Return the continent of a country (ISO 3166-1 alpha-2, lower case), ``None`` for any other code."""
    return _continents().get(country)


def covers(area: str, place: str) -> bool:
    """Return true if ``place``, a country or an area, is part of ``area``: ``eu`` covers itself and its members."""
    return area == place or place in _members(area)


def within(places: Iterable[str], areas: Sequence[str]) -> bool:
    """Return true if every one of ``places`` is part of one of ``areas``; false if there are no places."""
    known = tuple(places)
    return bool(known) and all(any(covers(area, place) for area in areas) for place in known)


def intersection(some: Sequence[str] | None, others: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the areas that are part of both: ``de`` for ``eu`` and ``de``, none for ``eu`` and ``us``.

    ``None`` stands for no restriction.
    """
    if some is None or others is None:
        both = others if some is None else some
        return None if both is None else tuple(both)
    pairs = ((one, other) for one in some for other in others)
    return tuple(
        dict.fromkeys(
            one if covers(other, one) else other for one, other in pairs if covers(one, other) or covers(other, one)
        )
    )


def is_place(name: str) -> bool:
    """Return true if ``name`` is a country's code or an area, in lower case."""
    return name in _facts()["areas"] or name in _continents()
