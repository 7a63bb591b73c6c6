"""Test what a file makes of the catalogue: prices, lists of providers, accounts and models that were read."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint
from router_service.configuration.discovery import ModelListError, ModelSource, read_models
from router_service.configuration.market import DiscoveredModel, Market, make_market
from router_service.configuration.read_file import Configuration, read_configuration
from router_service.providers.credentials import Account, AccountAddress
from router_service.settings import Settings
from tests.conftest import serving


def market_of(folder: Path, text: str, settings: Settings | None = None) -> Market:
    """Return the market of the packaged catalogue under a file with ``text``, with two models read of ``mine``."""
    path = folder / "portolan.toml"
    path.write_text(text)
    discovered = {"mine": (DiscoveredModel("qwen3:32b", 4096), DiscoveredModel("Odd Name"))}
    configuration = read_configuration(path, load_catalogue())
    found = discovered if "mine" in configuration.tables.providers else {}
    return make_market(load_catalogue(), configuration, settings or Settings(), found)


def sold(market: Market, provider: str) -> list[Endpoint]:
    """Return the endpoints of ``provider`` that can be called."""
    return [e for offers in market.endpoints.values() for e in offers if e.provider == provider]


def test_without_a_file_the_catalogue_is_the_packaged_one() -> None:
    """Neither its object nor its version changes."""
    market = make_market(load_catalogue(), Configuration(), Settings(lab_url="http://lab"), {})
    assert market.catalogue is load_catalogue()


def test_models_that_were_read_join_the_catalogue(tmp_path: Path) -> None:
    """A name that the catalogue knows is its model, any other a model of the provider; the version tells both apart."""
    market = market_of(tmp_path, '[providers.mine]\nbase_url = "http://gpu/v1"\ncontext_length = 2048\n')
    found = {e.model: e for e in sold(market, "mine")}
    assert set(found) == {"qwen/qwen3-32b", "mine/odd-name"}
    assert (found["qwen/qwen3-32b"].context_length, found["mine/odd-name"].context_length) == (4096, 2048)
    assert market.catalogue.resolve("mine/qwen3:32b") == "qwen/qwen3-32b"
    assert market.catalogue.version != load_catalogue().version
    assert market.accounts == {AccountAddress("mine", "http://gpu/v1", "openai_chat"): Account()}


def test_a_coding_plan_takes_a_key_and_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is off without them; the vendor's own variable never feeds it."""
    monkeypatch.setenv("ZHIPU_API_KEY", "vendor")
    table = "[providers.zai-coding-plan]\nprice = { prompt = 0, completion = 0 }\n"
    assert not sold(market_of(tmp_path, table), "zai-coding-plan")
    market = market_of(tmp_path, f'{table}key = "plan"\n')
    (account,) = [a for at, a in market.accounts.items() if at.provider == "zai-coding-plan"]
    assert account == Account(("plan",))
    assert all(e.price is not None and e.price.prompt == 0 for e in sold(market, "zai-coding-plan"))
    assert sold(market, "zhipuai")
    assert not sold(market, "zai")


def test_lists_say_which_providers_of_the_catalogue_are_used(tmp_path: Path) -> None:
    """An aggregator can be enabled by its name; a provider with a table of its own is enabled as well."""
    lab = Settings(lab_url="http://lab")
    text = '[catalogue]\nenabled = ["groq", "openrouter"]\n[providers.cerebras]\nregion = "us"\n'
    market = market_of(tmp_path, text, lab)
    assert {e.provider for offers in market.endpoints.values() for e in offers} == {"groq", "openrouter", "cerebras"}
    assert all(e.region == "us" for e in sold(market, "cerebras"))
    market = market_of(tmp_path, '[catalogue]\ndisabled = ["groq"]\n', lab)
    assert not sold(market, "groq")
    assert sold(market, "cerebras")
    off = [e for offers in market.catalogue.endpoints.values() for e in offers if e.provider == "groq"]
    assert {e.disabled_reason for e in off} == {"configuration"}


def test_prices_and_discounts_hold_for_every_service_tier(tmp_path: Path) -> None:
    """The price of the file is the default tier's; the discount of a provider holds for each of its tiers."""
    lab = Settings(lab_url="http://lab")
    plain = {e.id: e for e in sold(make_market(load_catalogue(), Configuration(), lab), "openai")}
    tiered = next(e for e in plain.values() if e.tier_prices and e.service_tier is None)
    other = next(e for e in plain.values() if e.model == tiered.model and e.service_tier)
    text = f'[prices."{tiered.id}"]\nprompt = 8\ncompletion = 16\ncache_read = 1\n[discounts]\nopenai = 0.25\n'
    found = {e.id: e for e in sold(market_of(tmp_path, text, lab), "openai")}
    price = found[tiered.id].price
    assert price is not None
    assert (price.prompt, price.completion, price.cache_read) == (6_000_000_000, 12_000_000_000, 750_000_000)
    assert found[tiered.id].price_served("default") == price
    assert other.price is not None
    assert found[tiered.id].price_served(other.service_tier).prompt == round(other.price.prompt * 0.75)
    assert found[other.id].price_served(None).prompt == round(other.price.prompt * 0.75)


def test_an_own_address_of_a_provider_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its endpoints move there with its key; ``PORTOLAN_PROVIDER_URLS`` wins; the lab imitates the others alone."""
    monkeypatch.setenv("GROQ_API_KEY", "mine")
    text = '[providers.groq]\nbase_url = "http://proxy/v1"\n'
    market = market_of(tmp_path, text)
    assert {e.base_url for e in sold(market, "groq")} == {"http://proxy/v1"}
    urls = {"groq": "http://other/v1"}
    market = market_of(tmp_path, text, Settings(provider_urls=urls, lab_url="http://lab"))
    assert {e.base_url for e in sold(market, "groq")} == {"http://other/v1"}
    assert market.accounts[AccountAddress("groq", "http://other/v1", "openai_chat")] == Account(("mine",))
    assert market.accounts[AccountAddress("openai", "http://lab/openai/v1", "openai_chat")] == Account(("lab",))


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, b"{}", "answered with status 500"),
        (200, b"<html>", "sent no list of models"),
        (200, b'{"data": [{"name": "a"}]}', "sent no list of models"),
        (200, b"[" * 100_000, "sent no list of models"),
        (200, b"{}", "sent no list of models"),
    ],
)
async def test_a_list_of_models_that_cannot_be_read_is_explained(status: int, body: bytes, says: str) -> None:
    """No answer of a server raises anything else."""

    async def answer(_request: Request) -> Response:
        return Response(body, status_code=status, media_type="application/json")

    with serving(Starlette(routes=[Route("/v1/models", answer)])) as url:
        with pytest.raises(ModelListError, match=says):
            await read_models(ModelSource("mine", f"{url}/v1/models", {}))
