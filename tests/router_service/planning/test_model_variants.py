"""Test suffixes and aliases of model ids, and several models in one request."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from data.catalogue.types import Catalogue, Endpoint, Model
from data.lake import Lake
from router_service.core.errors import ApiError
from router_service.health import Health
from router_service.planning.constraints import ConstraintSet
from router_service.planning.decide import decisions
from router_service.planning.model_variants import parse_model
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from tests.market import PROFILE, TOOL_PROFILE, endpoint
from tests.outcomes import answered


def model(name: str) -> Model:
    return Model(name, "x", name, 0, 8192, ("text",), ("text",))


OFFERS = {
    "a/b": (
        endpoint("dear", 9),
        endpoint("cheap", 1),
        endpoint("quick", 2, id="quick:b@priority", tag="quick/priority", service_tier="priority"),
        endpoint("idle", 0.5, id="idle:b@flex", tag="idle/flex", service_tier="flex"),
        endpoint("gift", 0, free=True),
    ),
    "c/d": (endpoint("other", 3, id="other:d", model="c/d"),),
    "e/f": (),
    "g/h": (endpoint("old", 1, id="old:h", model="g/h", enabled=False, disabled_reason="deprecated"),),
}
CATALOGUE = Catalogue(
    "v",
    {name: model(name) for name in OFFERS},
    {},
    OFFERS,
    {"~a/b-latest": "a/b", "amazon.b-v1:0": "a/b"},
    (("acme:text-embedding-9", "not a chat model"),),
)


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    usable: dict[str, tuple[Endpoint, ...]] = {n: tuple(e for e in offers if e.enabled) for n, offers in OFFERS.items()}
    health, policies = Health(), PolicyStore(Lake(tmp_path))
    return Planner(CATALOGUE, usable, health, policies, 0.5, strategy="price", clock=time.monotonic)


def tried(planner: Planner, *names: str, **provider: object) -> list[list[str]]:
    """Return the tags in the order of attempts, one list per decision."""
    preferences = planner.preferences(msgspec.json.encode(provider))
    found = decisions(planner, list(names), preferences, PROFILE, lambda: 0.0)
    return [[e.tag for e in decision.order()] for decision in found]


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("a/b", ["cheap", "dear"]),
        ("~a/b-latest", ["cheap", "dear"]),
        ("amazon.b-v1:0", ["cheap", "dear"]),
        ("a/b:free", ["gift"]),
        ("a/b:floor", ["idle/flex", "cheap", "dear"]),
        ("a/b:nitro:floor", ["idle/flex", "cheap", "quick/priority", "dear"]),
        ("~a/b-latest:exacto", ["cheap", "dear"]),
    ],
)
def test_a_suffix_changes_the_pool_and_the_order(planner: Planner, name: str, tags: list[str]) -> None:
    assert tried(planner, name) == [tags]


def test_nitro_sorts_by_throughput_and_admits_the_priority_tier(planner: Planner) -> None:
    for speed, name in ((10, "cheap:b"), (30, "dear:b"), (90, "quick:b@priority")):
        planner.health.report(answered(name, 1.0, speed))
    assert tried(planner, "a/b:nitro") == [["quick/priority", "dear", "cheap"]]


def test_named_providers_disable_the_tiers_of_a_suffix(planner: Planner) -> None:
    assert tried(planner, "a/b:nitro", order=["dear"]) == [["dear", "cheap"]]
    assert tried(planner, "a/b", order=["quick/priority"])[0][0] == "quick/priority"


def test_models_are_tried_in_order_or_as_one_pool(planner: Planner) -> None:
    assert tried(planner, "a/b", "c/d", "no/such") == [["cheap", "dear"], ["other"]]
    assert tried(planner, "c/d", "a/b", "a/b:nitro", sort={"by": "price", "partition": "none"}) == [
        ["cheap", "quick/priority", "other", "dear"]
    ]


@pytest.mark.parametrize(
    ("name", "status", "code", "says"),
    [
        ("no/such", 400, "model_not_found", "no/such is not a valid model ID"),
        ("a/b:thinking", 400, "model_not_found", "send reasoning"),
        ("a/b:online", 400, "model_not_found", "no web search"),
        ("a/b:extended", 400, "model_not_found", "deprecated"),
        ("a/b:batch", 400, "model_not_found", "no batch endpoints"),
        ("text-embedding-9", 400, "wrong_endpoint", "is not a chat model"),
        ("e/f", 404, "no_endpoints", "No endpoints found for e/f"),
        ("g/h", 404, "model_deprecated", "retired"),
        ("c/d:free", 404, "free_variant_ended", "available at a price"),
    ],
)
def test_an_id_that_cannot_be_served_gets_the_reason(
    planner: Planner, name: str, status: int, code: str, says: str
) -> None:
    with pytest.raises(ApiError) as caught:
        tried(planner, name)
    error = caught.value
    assert error.availability is not None
    assert (error.code, error.availability["code"], error.availability["requested_models"]) == (status, code, [name])
    assert says in error.message


def test_the_strategy_of_the_key_ranks_between_those_of_request_and_installation(planner: Planner) -> None:
    def policy(provider: bytes, key: str | None) -> str:
        constraints = ConstraintSet(strategy=key)
        preferences = planner.preferences(provider, constraints)
        return next(decisions(planner, ["a/b"], preferences, PROFILE, lambda: 0.0, constraints)).arm.policy

    assert policy(b"", None) == "price"
    assert policy(b"", "adjusted") == "adjusted"
    assert policy(b'{"strategy":"exacto"}', "adjusted") == "exacto"
    assert policy(b'{"sort":"price"}', "adjusted") == "sort"


def test_equal_requests_share_one_plan(planner: Planner) -> None:
    wanted = (parse_model("a/b", CATALOGUE),)
    first = planner.plan(wanted, planner.preferences(b'{"only":["cheap"]}'), PROFILE)
    again = planner.plan(wanted, planner.preferences(b'{"only":["cheap"]}'), PROFILE._replace(prompt_tokens=99))
    assert first is again
    assert planner.plan(wanted, planner.preferences(b""), TOOL_PROFILE) is not first
