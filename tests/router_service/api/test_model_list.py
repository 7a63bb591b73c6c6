"""Test the list of models with every filter, order and page of the reference, over a small market of known figures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest
import yaml

from data.catalogue.types import Catalogue, DataPolicy, Endpoint, Model, Price, Provider
from data.lake import Lake
from data.record.encoding import encode_record
from data.record.record import Record
from router_service.admission.keys import create_key, open_database
from router_service.app import create_app
from router_service.settings import Settings
from router_service.telemetry.log import RequestLog
from tests.conftest import serving
from tests.outcomes import answered

REFERENCE = Path(__file__).parents[4] / "shared/reference/openrouter_openapi.yaml"
DAY_S = 86_400
NOW = int(time.time())
TEXT = ("text",)
MODELS = [
    Model("openai/gpt-9-mini", "openai", "OpenAI: GPT 9 Mini", NOW - 5 * DAY_S, 8_000, ("text", "image"), TEXT),
    Model(
        "meta/llama-3.1-big", "meta", "Meta: Llama Big", NOW - 50 * DAY_S, 128_000, TEXT, TEXT, description="A\x00<b>"
    ),
    Model("acme/painter", "acme", "Acme Painter", NOW - 500 * DAY_S, 4_000, TEXT, ("image",)),
    Model("acme/writer", "acme", "Acme Writer", NOW - 20 * DAY_S, 32_000, ("text", "audio"), ("text", "audio")),
]
GPT, LLAMA, PAINTER, WRITER = (model.id for model in MODELS)
TEXTS = [GPT, LLAMA, WRITER]


def offer(model: str, provider: str, prompt: float, completion: float, **more: Any) -> Endpoint:
    """Return an endpoint with prices in USD per million tokens."""
    fields: dict[str, Any] = {
        "id": f"{provider}:{model}",
        "tag": provider,
        "provider": provider,
        "provider_name": provider.title(),
        "model": model,
        "upstream_model": model,
        "wire_format": "openai_chat",
        "base_url": "http://127.0.0.1:9",
        "key_env": ("TEST_KEY",),
        "price": Price(round(prompt * 1e9), round(completion * 1e9)),
        "context_length": 1000,
        "supported_parameters": frozenset({"temperature"}),
    }
    return Endpoint(**(fields | more))


NO_DATA = DataPolicy(trains=False, retains=False)
ENDPOINTS = {
    GPT: (
        offer(GPT, "alpha", 1, 4, supported_parameters=frozenset({"temperature", "tools"})),
        offer(GPT, "beta", 3, 8, data_policy=NO_DATA, region="de"),
    ),
    LLAMA: (offer(LLAMA, "beta", 0.5, 0.5, distillable=True, region="us"),),
    PAINTER: (offer(PAINTER, "alpha", 9, 9),),
    WRITER: (offer(WRITER, "gamma", 2, 10, data_policy=NO_DATA, region="fr"),),
}
CATALOGUE = Catalogue(
    "test",
    {model.id: model for model in MODELS},
    {name: Provider(name, name.title(), "openai_chat", None, ("TEST_KEY",)) for name in ("alpha", "beta", "gamma")},
    ENDPOINTS,
    {"gpt-9": GPT, "openai/gpt-9": GPT},
)


class Site:
    """Hold a running router, and the keys of a caller with and without rules."""

    def __init__(self, url: str, lake: Lake) -> None:
        self.url = url
        database = open_database(lake.database)
        self.key = create_key(database, "test")
        self.strict_key = create_key(database, "strict", '{"zdr": true, "max_price": {"prompt": 2.5}}')

    def get(self, path: str, key: str | None = None, **parameters: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.get(f"{self.url}/api/v1{path}", params=parameters, headers=headers)

    def ids(self, **parameters: Any) -> list[str]:
        found = self.get("/models", **parameters)
        assert found.status_code == 200, found.text
        return [row["id"] for row in found.json()["data"]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    lake = Lake(tmp_path_factory.mktemp("models")).create()
    log = RequestLog(lake, "earlier")
    for number, (model, tokens, category, fault) in enumerate(
        [(GPT, 10, "legal", "invalid_json"), (GPT, 10, None, None), (WRITER, 500, "legal", None)]
    ):
        record = Record(
            f"gen-{number}", NOW * 10**6, "w", model, False, 200, 5, model=model, prompt_tokens=tokens,
            category=category, tool_calls=1, tool_call_fault=fault,
        )  # fmt: skip
        log.append(encode_record(record))
    log.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_KEY", "secret")
        router = create_app(Settings(data_dir=lake.root), CATALOGUE)
        health = router.container.services.health
        health.report(answered(f"beta:{LLAMA}", 0.2, 20.0))
        health.report(answered(f"gamma:{WRITER}", 0.4, 90.0))
        with serving(router) as url:
            yield Site(url, lake)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({}, TEXTS),
        ({"output_modalities": "all"}, [GPT, LLAMA, PAINTER, WRITER]),
        ({"output_modalities": "image"}, [PAINTER]),
        ({"output_modalities": "Audio, image"}, [PAINTER, WRITER]),
        ({"output_modalities": "embeddings"}, []),
        ({"input_modalities": "image"}, [GPT]),
        ({"input_modalities": "text,audio"}, [WRITER]),
        ({"supported_parameters": "tools"}, [GPT]),
        ({"supported_parameters": "temperature,tools"}, [GPT]),
        ({"supported_parameters": "no-such"}, []),
        ({"q": "llama"}, [LLAMA]),
        ({"q": "ACME/W"}, [WRITER]),
        ({"context": 32_000}, [LLAMA, WRITER]),
        ({"min_price": 0.5}, TEXTS),
        ({"min_price": 0.6, "max_price": 1}, [GPT]),
        ({"max_output_price": 4}, [GPT, LLAMA]),
        ({"min_output_price": 10}, [WRITER]),
        ({"arch": "GPT"}, [GPT]),
        ({"arch": "Llama3"}, [LLAMA]),
        ({"arch": "llama"}, [LLAMA]),
        ({"arch": "lama"}, []),
        ({"model_authors": "meta, Acme"}, [LLAMA, WRITER]),
        ({"providers": "Alpha"}, [GPT]),
        ({"providers": "gamma,beta"}, TEXTS),
        ({"distillable": "true"}, [LLAMA]),
        ({"distillable": "false"}, [GPT, WRITER]),
        ({"zdr": "true"}, [GPT, WRITER]),
        ({"zdr": "true", "providers": "alpha"}, []),
        ({"region": "eu"}, [GPT, WRITER]),
        ({"region": "US"}, [LLAMA]),
        ({"min_age_days": 10, "max_age_days": 30}, [WRITER]),
        ({"max_age_days": 30}, [GPT, WRITER]),
        ({"min_intelligence_index": 1}, []),
        ({"max_coding_index": 100}, []),
        ({"min_agentic_index": 0}, []),
        ({"min_tool_success_rate": 0.9}, [WRITER]),
        ({"max_tool_success_rate": 0.5}, [GPT]),
        ({"category": "legal"}, [GPT, WRITER]),
        ({"category": "marketing/seo"}, []),
        ({"unknown_parameter": "1"}, TEXTS),
        ({"sort": "newest"}, [GPT, WRITER, LLAMA]),
        ({"sort": "top-weekly"}, [WRITER, GPT, LLAMA]),
        ({"sort": "most-popular"}, [WRITER, GPT, LLAMA]),
        ({"sort": "pricing-low-to-high"}, [LLAMA, GPT, WRITER]),
        ({"sort": "pricing-high-to-low", "output_modalities": "all"}, [PAINTER, WRITER, GPT, LLAMA]),
        ({"sort": "context-high-to-low"}, [LLAMA, WRITER, GPT]),
        ({"sort": "intelligence-high-to-low"}, TEXTS),
        ({"sort": "design-arena-elo-high-to-low"}, TEXTS),
        ({"sort": "latency-low-to-high"}, [LLAMA, WRITER, GPT]),
        ({"sort": "throughput-high-to-low"}, [WRITER, LLAMA, GPT]),
    ],
)
def test_filters_and_orders(site: Site, parameters: dict[str, Any], wanted: list[str]) -> None:
    assert site.ids(**parameters) == wanted


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": "many"}, "offset"),
        ({"category": "cooking"}, "category"),
        ({"sort": "luck"}, "sort"),
        ({"output_modalities": "text,smell"}, "output_modalities"),
        ({"input_modalities": "smell"}, "input_modalities"),
        ({"context": 0}, "context"),
        ({"min_price": -1}, "min_price"),
        ({"max_price": "nan"}, "max_price"),
        ({"max_output_price": "inf"}, "max_output_price"),
        ({"distillable": "maybe"}, "distillable"),
        ({"zdr": "false"}, "zdr"),
        ({"region": "moon"}, "region"),
        ({"min_age_days": 1.5}, "min_age_days"),
        ({"max_age_days": "9" * 30}, "max_age_days"),
        ({"min_tool_success_rate": 1.1}, "min_tool_success_rate"),
        ({"q": "x" * 2001}, "q"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_name(site: Site, parameters: dict[str, Any], field: str) -> None:
    found = site.get("/models", **parameters)
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith(f"{field}: ")


def test_pages_follow_each_other_by_their_links(site: Site) -> None:
    found, path = [], "/api/v1/models?limit=2&sort=newest&output_modalities=all&q=a"
    while path:
        page = httpx2.get(f"{site.url}{path}").json()
        assert page["total_count"] == 4 and len(page["data"]) == 2
        found += [row["id"] for row in page["data"]]
        path = page["links"]["next"]
    assert found == [GPT, WRITER, LLAMA, PAINTER]


@pytest.mark.parametrize(
    ("parameters", "wanted", "following"),
    [
        ({}, TEXTS, None),
        ({"limit": 1}, [GPT], "/api/v1/models?offset=1&limit=1"),
        ({"offset": 1}, [LLAMA, WRITER], None),
        ({"offset": 0, "limit": 3}, TEXTS, None),
        ({"offset": 2, "limit": 1}, [WRITER], None),
        ({"offset": 10**25}, [], None),
    ],
)
def test_a_page_has_its_part_and_the_count_of_all(
    site: Site, parameters: dict[str, Any], wanted: list[str], following: str | None
) -> None:
    page = site.get("/models", **parameters).json()
    assert [row["id"] for row in page["data"]] == wanted
    assert (page["total_count"], page["links"]["next"]) == (3, following)


def test_the_price_of_a_model_is_that_of_the_endpoints_that_the_filters_leave(site: Site) -> None:
    (plain,) = site.get("/models", q="gpt").json()["data"]
    (narrowed,) = site.get("/models", q="gpt", zdr="true").json()["data"]
    assert (plain["pricing"]["prompt"], narrowed["pricing"]["prompt"]) == ("0.000001", "0.000003")


def test_the_count_has_its_filters(site: Site) -> None:
    counts = [
        site.get("/models/count", **parameters).json()["data"]["count"]
        for parameters in ({}, {"output_modalities": "all"}, {"output_modalities": "audio"}, {"region": "us"})
    ]
    assert counts == [3, 4, 1, 1]


def test_the_models_of_a_user_are_those_that_the_keys_rules_allow(site: Site) -> None:
    every = site.get("/models/user", site.key).json()
    allowed = site.get("/models/user", site.strict_key).json()
    page = site.get("/models/user", site.key, limit=1, offset=1).json()
    assert [row["id"] for row in every["data"]] == [GPT, LLAMA, PAINTER, WRITER]
    assert ([row["id"] for row in allowed["data"]], allowed["total_count"]) == ([WRITER], 1)
    assert [row["id"] for row in page["data"]] == [LLAMA]
    assert page["links"]["next"] == "/api/v1/models/user?offset=2&limit=1"
    assert site.get("/models/user").status_code == 401


@pytest.mark.parametrize("path", ["/model", "/models"])
def test_one_model_is_found_by_its_id_and_by_an_alias(site: Site, path: str) -> None:
    found = [site.get(f"{path}/{name}").json()["data"]["id"] for name in (GPT, "openai/gpt-9")]
    missing = site.get(f"{path}/acme/unknown")
    assert found == [GPT, GPT]
    assert missing.status_code == 404 and "acme/unknown" in missing.json()["error"]["message"]


def test_the_endpoints_without_retention_are_listed(site: Site) -> None:
    anonymous, known = (site.get("/endpoints/zdr", key).json()["data"] for key in (None, site.key))
    assert [(row["model_id"], row["provider_name"]) for row in known] == [(GPT, "Beta"), (WRITER, "Gamma")]
    assert (anonymous[1]["latency_last_30m"], known[1]["latency_last_30m"]["p50"] > 0) == (None, True)


@pytest.mark.parametrize("chat_links", ["true", "false"])
def test_a_feed_has_the_models_that_the_list_has(site: Site, chat_links: str) -> None:
    parameters = {"use_rss": "true", "use_rss_chat_links": chat_links, "sort": "newest", "limit": 2, "offset": 1}
    found = site.get("/models", **parameters)
    assert found.headers["content-type"].startswith("application/rss+xml")
    feed = ElementTree.fromstring(found.content)
    items = feed.findall("channel/item")
    assert [item.findtext("guid") for item in items] == [WRITER, LLAMA]
    assert items[1].findtext("description") == "A<b>"
    assert httpx2.get(items[0].findtext("link") or "").status_code == 200


def test_the_content_of_a_generation_is_not_stored(site: Site) -> None:
    unknown, anonymous = (
        site.get("/generation/content", site.key, id="gen-1-a"),
        site.get("/generation/content", id="a"),
    )
    assert (unknown.status_code, anonymous.status_code) == (404, 401)
    assert site.get("/generation/content", site.key).status_code == 400
    body = {"model": "acme/unknown", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {site.key}"}
    refused = httpx2.post(f"{site.url}/api/v1/chat/completions", json=body, headers=headers)
    found = site.get("/generation/content", site.key, id=refused.headers["x-generation-id"])
    assert found.status_code == 404 and "does not log prompts" in found.json()["error"]["message"]


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference's document is not at hand")
@pytest.mark.parametrize("path", ["/models", "/models/user", "/models/count"])
def test_every_parameter_of_the_reference_is_documented_with_its_bounds(site: Site, path: str) -> None:
    def bounds(schema: dict[str, Any]) -> dict[str, Any]:
        options = [schema, *schema.get("anyOf", [])]
        return {key: one[key] for one in options for key in ("minimum", "maximum", "enum") if key in one}

    reference = yaml.load(REFERENCE.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    wanted = {p["name"]: p["schema"] for p in reference["paths"][path]["get"]["parameters"]}
    document = httpx2.get(f"{site.url}/openapi.json").json()
    found = {p["name"]: p["schema"] for p in document["paths"][f"/api/v1{path}"]["get"]["parameters"]}
    assert wanted.keys() <= found.keys()
    # Our regions are more, and Pydantic writes an enumeration of one value as a constant.
    for name in wanted.keys() - {"region", "zdr"}:
        expected, ours = bounds(wanted[name]), bounds(found[name])
        assert set(expected.get("enum", ())) == set(ours.get("enum", ())), name
        assert all(ours[key] == value for key, value in expected.items() if key != "enum"), name
