"""Build the offers for tasks other than chat that the source does not list, from ``task_offers.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from data.catalogue.price import MeterPrices, Price
from data.catalogue.pricing import nano
from data.catalogue.provider_facts import data_policy, datacenters_of, moderated, region_of
from data.catalogue.task_facts import dimensions_of, parameters_of
from data.catalogue.types import OUTPUT_OF, Endpoint, Model, Provider

UNIT = 1_000_000_000


def authored_endpoints(providers: Mapping[str, Provider]) -> Iterator[Endpoint]:
    """Yield the offers in the order of the file."""
    for slug, rows in _offers().items():
        provider = providers[slug]
        for row in rows["models"]:
            yield Endpoint(
                id=f"{slug}:{row['id']}",
                tag=provider.slug,
                provider=slug,
                provider_name=provider.name,
                model=row["model"],
                upstream_model=row["id"],
                wire_format=rows["wire_format"],
                base_url=rows["base_url"],
                key_env=provider.key_env,
                price=_price(row),
                context_length=row["context"],
                supported_parameters=parameters_of(row["model"]) | frozenset(row.get("parameters", ())),
                region=region_of(slug, None),
                datacenters=datacenters_of(slug),
                data_policy=data_policy(slug),
                moderated=moderated(slug),
                task=row["task"],
            )


def authored_models() -> dict[str, Model]:
    """Return the models of the offers by their canonical ids."""
    rows = [row for offers in _offers().values() for row in offers["models"]]
    return {
        row["model"]: Model(
            id=row["model"],
            author=row["model"].split("/", 1)[0],
            name=f"{row['model'].split('/', 1)[0]}: {row['name']}",
            created=0,
            context_length=row["context"],
            input_modalities=tuple(row.get("inputs", ("text",))),
            output_modalities=(OUTPUT_OF[row["task"]],),
            dimensions=dimensions_of(row["model"]),
        )
        for row in rows
    }


def authored_aliases() -> dict[str, str]:
    """Return the providers' own names, with and without the author, of the models."""
    rows = [row for offers in _offers().values() for row in offers["models"]]
    own = {row["id"]: row["model"] for row in rows}
    return own | {f"{model.split('/', 1)[0]}/{name}": model for name, model in own.items()}


def _price(row: Mapping[str, Any]) -> Price:
    for unit in ("search_unit", "output_image"):
        if unit in row:
            return Price(0, 0, meters=MeterPrices(**{unit: round(row[unit] * UNIT)}))
    meters = MeterPrices(image=nano(row["image"])) if "image" in row else None
    return Price(nano(row["prompt"]), nano(row.get("completion", 0)), meters=meters)


@cache
def _offers() -> dict[str, Any]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("task_offers.toml").read_text(encoding="utf-8"))
