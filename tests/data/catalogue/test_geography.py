"""Areas contain countries, and areas intersect."""

from __future__ import annotations

import pytest

from data.catalogue.geography import continent_of, continents, covers, intersection, is_place, within


def test_regions_are_countries_and_areas_and_what_is_unknown_is_outside() -> None:
    assert within(("de",), ("eu",)) and within(("eu",), ("eu",)) and within(("de", "fr"), ("us", "eu"))
    assert not within((), ("eu",)) and not within(("gb",), ("eu",)) and not within(("eu",), ("de",))
    assert intersection(("eu",), ("de", "us")) == ("de",)
    assert intersection(("eu",), ("us",)) == ()
    assert intersection(None, ("eu",)) == ("eu",)


@pytest.mark.parametrize(
    ("code", "continent"), [("de", "europe"), ("jp", "asia"), ("xx", None), ("DE", None), ("eu", None), ("", None)]
)
def test_a_country_has_its_continent(code: str, continent: str | None) -> None:
    assert continent_of(code) == continent
    assert continent is None or continent in continents()


def test_an_area_covers_itself_and_its_members() -> None:
    assert covers("eu", "eu") and covers("eu", "fr") and covers("fr", "fr")
    assert not covers("fr", "eu") and not covers("eu", "gb")


def test_places_are_countries_and_areas() -> None:
    assert is_place("de") and is_place("eu")
    assert not is_place("europe") and not is_place("EU") and not is_place("")
