"""A key's rules and defaults, regional hosts and client regions, by a real router and the official client."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue.types import Endpoint
from router_service.admission.client_region import ClientRegions
from router_service.admission.hosts import RegionalHosts
from router_service.admission.key_rules import KeyRulesError, parse_rules
from router_service.admission.keys import create_key, open_database, read_keys
from router_service.core.preferences import Preferences, parse_preferences
from router_service.planning.constraints import Constraint, ConstraintSet
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.market_state import MarketState
from router_service.planning.nearest_request import nearest_request
from tests.conftest import Stack, open_stack
from tests.router_service.planning.test_plan_properties import HARD, cases
from tests.running import portolan

MODEL = "openai/gpt-oss-120b"
HELLO = [{"role": "user", "content": "x"}]
RULES = ("data_collection", "zdr", "enforce_distillable_text", "region", "max_price")
policies = st.fixed_dictionaries({}, optional={name: HARD[name] for name in RULES})


@given(cases(), policies)
def test_a_key_only_ever_tightens_and_is_never_loosened(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState], policy: dict[str, Any]
) -> None:
    market, provider, ask, state = case
    ask = ask._replace(parameters=("messages", "seed"), max_tokens=None)
    demands = ConstraintSet(Constraint("This key", parse_preferences(msgspec.json.encode(policy))))

    def left(preferences: Preferences) -> set[str]:
        return {e.id for e in make_plan("a/b", market, preferences, ask, state).endpoints}

    wanted = parse_preferences(msgspec.json.encode(provider))
    under = left(demands.apply(wanted))
    assert under <= left(wanted)
    assert under <= left(demands.baseline)
    close = None if under else nearest_request(market, demands.apply(wanted), ask, demands)
    assert close is None or demands.allows(close.endpoint)


def test_requests_win_over_a_keys_defaults() -> None:
    key = ConstraintSet(Constraint("This key", Preferences(sort="latency", ttft_timeout=5, stall_timeout=9)))
    silent = key.apply(Preferences())
    assert (silent.sort_by, silent.ttft_timeout, silent.stall_timeout) == ("latency", 5, 9)
    own = key.apply(Preferences(strategy="price", ttft_timeout=1))
    assert (own.sort_by, own.strategy, own.ttft_timeout) == (None, "price", 1)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    hosts, clients = {"eu.*": "eu"}, {"127.0.0.0/8": "home"}
    with open_stack(tmp_path, regional_hosts=hosts, client_regions=clients) as opened:
        yield opened


def ask(stack: Stack, key: str, provider: dict[str, Any] | None = None, **headers: str) -> Any:
    with openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=key, max_retries=0) as client:
        extra = {"provider": provider} if provider else {}
        return client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HELLO, extra_body=extra, extra_headers=headers
        )


def explained(stack: Stack, key: str, answer: Any) -> dict[str, Any]:
    with stack.client as client:
        path = f"/api/v1/generation/explain?id={answer.headers['x-generation-id']}"
        return client.get(path, headers={"authorization": f"Bearer {key}"}).json()["data"]


def test_a_key_keeps_to_its_region_and_strategy(stack: Stack) -> None:
    key = stack.new_key(region="eu", strategy="adjusted", client_region="europe")
    answer = ask(stack, key)
    found = explained(stack, key, answer)
    assert (found["data_region"], found["client_region"]) == ("eu", "europe")
    assert found["decision"]["policy"] == "adjusted"
    assert "groq" in {row["endpoint"].split(":")[0] for row in found["excluded"] if row["reason"] == "data_region"}
    with stack.client as client:
        shown = client.get("/api/v1/key", headers={"authorization": f"Bearer {key}"}).json()["data"]
    assert shown["allowed_data_regions"] == ["europe"]
    assert shown["policy"] == {"region": ["eu"], "strategy": "adjusted", "client_region": "europe"}


def test_every_way_to_ask_for_a_region_fails_closed(stack: Stack) -> None:
    away = {"region": "us", "only": ["scaleway", "groq"]}
    for key, provider, headers in (
        (stack.key, away, {}),
        (stack.new_key(region="eu"), away, {}),
        (stack.new_key(region="jp"), None, {}),
        (stack.key, away, {"host": "EU.example.com:8080"}),
    ):
        with pytest.raises(openai.PermissionDeniedError) as caught:
            ask(stack, key, provider, **headers)
        error = caught.value.response.json()["error"]
        assert (error["code"], error["availability"]["code"]) == (403, "region_restricted")


def test_a_regional_host_restricts_requests_and_the_catalogue(stack: Stack) -> None:
    found = explained(stack, stack.key, ask(stack, stack.key, host="eu.example.com"))
    assert found["data_region"] == "eu"
    with stack.client as client:
        everything = client.get("/api/v1/models").json()["total_count"]
        by_host = client.get("/api/v1/models", headers={"host": "eu.example.com"}).json()["total_count"]
        by_query = client.get("/api/v1/models", params={"region": "eu"}).json()["total_count"]
        providers = {row["slug"]: row for row in client.get("/api/v1/providers").json()["data"]}
        offers = client.get(f"/api/v1/models/{MODEL}/endpoints").json()["data"]["endpoints"]
    assert 0 < by_host == by_query < everything
    assert providers["ovhcloud"]["datacenters"] == ["FR"]
    places = {e["tag"]: (e["region"], e["datacenters"]) for e in offers}
    assert places["ovhcloud"] == ("fr", ["FR"])
    assert places["scaleway"] == ("eu", None)
    assert places["groq"] == (None, None)


def test_the_clients_region_reaches_the_record(stack: Stack) -> None:
    header = "x-portolan-client-region"
    for sent, region in (({header: "FR"}, "europe"), ({header: "asia"}, "asia"), ({header: "nowhere"}, "home")):
        assert explained(stack, stack.key, ask(stack, stack.key, **sent))["client_region"] == region


def test_addresses_words_and_hosts_are_read_as_configured() -> None:
    clients = ClientRegions("CF-IPCountry", {"10.0.0.0/8": "far", "10.1.0.0/16": "near", "de": "home"}, proxies=1)
    assert clients.find({b"cf-ipcountry": b"DE"}, None, None) == "home"
    assert clients.find({b"cf-ipcountry": b"T1", b"x-forwarded-for": b"10.9.9.9, 10.1.2.3"}, "10.9.9.9", None) == "near"
    assert clients.find({}, "10.1.2.3", None) is None
    assert (
        ClientRegions("x", {"10.0.0.0/8": "far"}).find({b"x-forwarded-for": b"1.1.1.1"}, "::ffff:10.1.1.1", None)
        == "far"
    )
    hosts = RegionalHosts({"eu.*": "eu", "eu.us.example": "us"})
    assert [
        getattr(hosts.find({b"host": name}), "region", None) for name in (b"eu.us.example:80", b"Eu.x", b"x.eu")
    ] == [
        "us",
        "eu",
        None,
    ]


def test_a_damaged_policy_refuses_the_key_and_not_the_others(stack: Stack) -> None:
    key = create_key(open_database(stack.lake.database), "damaged", '{"zdr": "perhaps"}')
    with pytest.raises(openai.PermissionDeniedError, match="portolan keys policy"):
        ask(stack, key)
    assert ask(stack, stack.key).status_code == 200


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7", "a policy must be a JSON object"),
        ('{"only": ["groq"]}', "only is no field of a policy"),
        ('{"zdr": "yes"}', "zdr must be true or false"),
        ('{"region": "mars"}', "region 'mars' is neither"),
        ('{"client_region": "The Moon"}', "client_region must be at most 16"),
        ('{"sort": {"by": "price"}}', "sort must be a name"),
    ],
)
def test_a_wrong_policy_is_refused_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(KeyRulesError, match=says):
        parse_rules(text)


def test_an_old_database_gains_its_columns_whoever_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE keys (hash VARCHAR(64) PRIMARY KEY, name VARCHAR(200) NOT NULL, label VARCHAR(40) NOT NULL, "
            "created_at FLOAT NOT NULL, disabled BOOLEAN NOT NULL, limit_nano BIGINT)"
        )
        old.execute("INSERT INTO keys VALUES ('h', 'old', 'sk', 1.0, 0, NULL)")
    old.close()
    together, failures = threading.Barrier(6), []

    def start() -> None:
        together.wait()
        try:
            open_database(path).dispose()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    engine = open_database(path)
    create_key(engine, "new", '{"zdr": true}')
    assert [(key.name, key.policy and key.policy.preferences.zdr) for key in read_keys(engine)] == [
        ("old", None),
        ("new", True),
    ]
    engine.dispose()


def test_policies_are_set_shown_and_taken_back_by_the_command(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path))
    portolan("keys", "create", "--name", "mine", "--policy", "region=eu,us", "--policy", "max_price.prompt=2", *data)
    assert portolan("keys", "policy", "mine", "zdr=true", "region=", *data).stdout == "zdr=true max_price.prompt=2.0\n"
    assert portolan("keys", "list", *data).stdout.strip().endswith("zdr=true max_price.prompt=2.0")
    wrong = portolan("keys", "policy", "mine", "region=mars", *data)
    assert (wrong.returncode, "neither a country" in wrong.stderr) == (2, True)
    assert portolan("keys", "policy", "nobody", *data).returncode == 2
