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
                cancellation=provider.cancellation.policy if provider.cancellation else None,
            )


def authored_models() -> dict[str, Model]:
    """Return the models of the offers by their canonical ids."""
    found: dict[str, Model] = {}
    for row in _rows():
        name = row["model"]
        author = name.split("/", 1)[0]
        found[name] = Model(
            id=name,
            author=author,
            name=f"{author}: {row['name']}",
            created=0,
            context_length=row["context"],
            input_modalities=tuple(row.get("inputs", ("text",))),
            output_modalities=(OUTPUT_OF[row["task"]],),
            dimensions=dimensions_of(name),
        )
    return found


def authored_aliases() -> dict[str, str]:
    """Return the providers' own names, with and without the author, of the models."""
    own = {row["id"]: row["model"] for row in _rows()}
    return own | {f"{model.split('/', 1)[0]}/{name}": model for name, model in own.items()}


def _price(row: Mapping[str, Any]) -> Price:
    if "search_unit" in row:
        return Price(0, 0, meters=MeterPrices(search_unit=nano(row["search_unit"])))
    if "output_image" in row:
        return Price(0, 0, meters=MeterPrices(output_image=nano(row["output_image"])))
    meters = MeterPrices(image=nano(row["image"])) if "image" in row else None
    return Price(nano(row["prompt"]), nano(row.get("completion", 0)), meters=meters)


def _rows() -> list[dict[str, Any]]:
    return [row for offers in _offers().values() for row in offers["models"]]


@cache
def _offers() -> dict[str, Any]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("task_offers.toml").read_text(encoding="utf-8"))
