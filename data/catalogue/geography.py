"""Countries, areas and continents: what lies within what."""

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
    """Names such as ``europe`` and ``north-america``."""
    return frozenset(_facts()["continents"])


def continent_of(country: str) -> str | None:
    """Of a country by its ISO 3166-1 alpha-2 code in lower case; ``None`` where it is no inhabited country's."""
    return _continents().get(country)


def covers(area: str, place: str) -> bool:
    """Whether ``place`` (a country or an area) lies within ``area``: ``eu`` covers itself and its member states."""
    return area == place or place in _members(area)


def within(places: Iterable[str], areas: Sequence[str]) -> bool:
    """Whether every one of ``places`` lies within one of ``areas``; of no place that is not known."""
    known = tuple(places)
    return bool(known) and all(any(covers(area, place) for area in areas) for place in known)


def intersection(some: Sequence[str] | None, others: Sequence[str] | None) -> tuple[str, ...] | None:
    """The areas that lie within both: of ``eu`` and ``de`` it is ``de``, of ``eu`` and ``us`` there are none.

    ``None`` is the whole world.
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
    """Whether ``name`` is a country's code or an area, in lower case."""
    return name in _facts()["areas"] or name in _continents()
