"""Test that a client's utility weights steer the learned policy, and that a sort fixes the order elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import ValidationError

from models.selection.dataset.replay_set import REPLAYED_POLICIES
from models.selection.decision.utility import (
    SORT_FACTORS,
    USD_PER_FAILURE,
    USD_PER_SECOND,
    UtilityWeights,
    weights_for_sort,
)
from models.selection.lifecycle.guardrails import CONTROL_POLICY
from router_service.admission.key_rules import KeyRulesError, parse_rules, rules_fields
from router_service.core.errors import ApiError
from router_service.core.preferences import Preferences, parse_preferences
from router_service.planning.constraints import Constraint, ConstraintSet
from router_service.planning.make_plan import make_plan, strategy_of
from router_service.planning.policy_store import PolicyStore
from router_service.planning.strategies.learned import WEIGHTED
from router_service.planning.utility_preferences import weights_of
from router_service.settings import Settings
from tests.conftest import Stack
from tests.learned_world import MODEL, Lake, learned_stack, teach
from tests.market import PROFILE, endpoint, measure, state

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LEARNED = Preferences(strategy="learned")
CHEAP, QUICK = endpoint("cheap", 0.1, id="cheap:b"), endpoint("quick", 4.0, id="quick:b")
STREAM = PROFILE._replace(prompt_tokens=300, stream=True, max_tokens=50)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PolicyStore:
    """Return a policy that knows the expensive endpoint to be three times as fast.

    A second at its default cost is worth about the difference in price.
    """
    lake = Lake(tmp_path_factory.mktemp("lake"))
    teach(lake, {("cheap:b", None): 3.0, ("quick:b", None): 1.0})
    store = PolicyStore(lake)
    store.poll()
    return store


def planned(store: PolicyStore, preferences: Preferences, **more: Any) -> Any:
    known = {"learned": store.current, "learned_share": 0.5, "strategy": "learned"} | more
    return make_plan("a/b", [CHEAP, QUICK], preferences, STREAM, state(**known))


def first(store: PolicyStore, preferences: Preferences, **more: Any) -> tuple[str, str]:
    """Return the endpoint that is most probably tried first, and the policy of the first arm."""
    plan = planned(store, preferences, **more)
    place = max(range(2), key=plan.probabilities.__getitem__)
    return plan.endpoints[place].tag, plan.arms[0].policy


def test_a_sort_is_weighed_if_the_learned_strategy_is_named(store: PolicyStore) -> None:
    for sort, wanted in (("price", "cheap"), ("latency", "quick")):
        assert first(store, Preferences(strategy="learned", sort=sort)) == (wanted, WEIGHTED)
        # A key's strategy names it as well, and an installation's does not.
        assert first(store, Preferences(sort=sort), named=True) == (wanted, WEIGHTED)
        assert first(store, Preferences(sort=sort))[1] == "sort"


def test_with_every_other_strategy_a_sort_fixes_the_order() -> None:
    for strategy in ("price", "adjusted", "exacto"):
        found = Preferences(strategy=strategy, sort="latency")
        assert strategy_of(found, PROFILE, state(strategy="learned", named=True)) == "sort"
    assert strategy_of(Preferences(strategy="learned", sort="exacto"), PROFILE, state()) == "exacto"
    assert strategy_of(Preferences(strategy="learned", sort="price", order=("a",)), PROFILE, state()) == "order"


def test_a_request_with_weights_gets_only_learned_arms_under_a_policy_name_of_its_own(store: PolicyStore) -> None:
    plan = planned(store, Preferences(strategy="learned", sort="latency"))
    assert [(arm.policy, arm.weight) for arm in plan.arms] == [(WEIGHTED, 1.0)]
    assert WEIGHTED not in REPLAYED_POLICIES
    assert WEIGHTED != CONTROL_POLICY
    assert [arm.policy for arm in planned(store, LEARNED).arms] == ["learned", "price"]


def test_fallbacks_follow_the_order_of_the_sort(store: PolicyStore) -> None:
    measures = {"cheap:b": measure(3.0, 50), "quick:b": measure(1.0, 50)}
    plan = planned(store, Preferences(strategy="learned", sort="latency"), measures=measures)
    assert [e.tag for e in plan.endpoints] == ["quick", "cheap"]


@pytest.mark.parametrize("more", [{"learned": None}, {"learned_share": 0.0}])
def test_without_a_served_policy_the_sort_fixes_the_order(store: PolicyStore, more: dict[str, Any]) -> None:
    assert first(store, Preferences(strategy="learned", sort="price"), **more) == ("cheap", "sort")
    assert first(store, Preferences(strategy="learned", usd_per_second=1.0), **more) == ("cheap", "price")


def test_a_higher_cost_per_second_shifts_traffic_to_the_faster_endpoint(store: PolicyStore) -> None:
    worths = (0.0, 0.00001, 0.001, 1000.0)
    plans = [planned(store, Preferences(strategy="learned", usd_per_second=worth)) for worth in worths]
    quick = [dict(zip((e.tag for e in p.endpoints), p.probabilities, strict=True))["quick"] for p in plans]
    assert all(before <= after for before, after in pairwise(quick))
    assert (quick[0] < 0.05, quick[-1] > 0.95) == (True, True)


def test_the_weights_of_the_operator_are_the_defaults_of_the_learned_policy(store: PolicyStore) -> None:
    rich = Settings(usd_per_second=1.0).utility_weights
    assert first(store, LEARNED, weights=rich) == ("quick", "learned")
    assert first(store, LEARNED, weights=Settings(usd_per_second=0.0).utility_weights) == ("cheap", "learned")
    assert (
        Settings().utility_weights
        == UtilityWeights()
        == UtilityWeights(USD_PER_SECOND, USD_PER_SECOND, USD_PER_FAILURE, 1.0)
    )
    with pytest.raises(ValidationError, match="usd_per_failure"):
        Settings(usd_per_failure=-1.0)


def test_presets_scale_the_default_weights() -> None:
    usual = UtilityWeights(0.1, 0.1, 0.5)
    assert weights_for_sort(None, usual) is usual
    assert weights_for_sort("latency", usual) == pytest.approx((1.0, 0.1, 5.0, 0.1))
    assert weights_for_sort("throughput", usual) == pytest.approx((0.1, 1.0, 5.0, 0.1))
    assert weights_for_sort("price", usual) == pytest.approx((0.01, 0.01, 0.05, 1.0))
    assert set(SORT_FACTORS) == {"price", "latency", "throughput"}


def test_weights_of_the_request_replace_those_of_the_key_and_of_the_installation() -> None:
    key = ConstraintSet(Constraint("This key", Preferences(usd_per_second=0.1, usd_per_failure=0.2)))
    assert weights_of(key.apply(Preferences(usd_per_second=0.3)), UtilityWeights()) == UtilityWeights(0.3, 0.3, 0.2)
    assert weights_of(Preferences(), UtilityWeights(0.5, 0.5)) == UtilityWeights(0.5, 0.5)


def test_the_sort_of_a_key_applies_to_a_request_that_names_the_learned_strategy() -> None:
    key = ConstraintSet(Constraint("This key", Preferences(sort="latency")))
    assert key.apply(LEARNED).sort_by == "latency"
    assert ConstraintSet(Constraint("This key", Preferences(sort="exacto"))).apply(LEARNED).sort_by is None


@pytest.mark.parametrize("worth", ["-1", "1001", "1e999", '"much"'])
def test_a_weight_out_of_bounds_is_rejected(worth: str) -> None:
    with pytest.raises(ApiError, match="usd_per_second must be a number of USD from 0 to 1000"):
        parse_preferences(f'{{"usd_per_second": {worth}}}'.encode())
    with pytest.raises(KeyRulesError, match=r"usd_per_second must be a number|out of range"):
        parse_rules(f'{{"usd_per_second": {worth}}}')


def test_the_weights_of_a_key_are_stored_as_given() -> None:
    policy = parse_rules('{"usd_per_second": 0.01, "usd_per_failure": 0}')
    assert rules_fields(policy) == {"usd_per_second": 0.01, "usd_per_failure": 0}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Return a router in front of Groq, which is more expensive and faster, and Deep Infra."""
    waits = {("groq:openai/gpt-oss-120b", None): 0.5, ("deepinfra:openai/gpt-oss-120b", None): 1.0}
    with learned_stack(tmp_path, waits, usd_per_second=0.00001, usd_per_failure=0.0001) as opened:
        yield opened


def explained(stack: Stack, provider: dict[str, Any], model: str = MODEL, key: str | None = None) -> dict[str, Any]:
    extra = {"provider": provider | {"only": ["groq", "deepinfra"]}}
    with openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=key or stack.key) as client:
        answer = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "x"}], max_tokens=50, stream=True, extra_body=extra
        )
        name = answer.headers["x-generation-id"]
        list(answer.parse())
    with stack.client as client:
        headers = {"authorization": f"Bearer {key or stack.key}"}
        found = client.get("/api/v1/generation/explain", params={"id": name}, headers=headers).json()["data"]
    assert found["replay"]["agrees"]
    return found


@pytest.mark.parametrize(
    ("provider", "model", "policy"),
    [
        ({"strategy": "learned", "sort": "latency"}, MODEL, WEIGHTED),
        ({"strategy": "learned"}, f"{MODEL}:nitro", WEIGHTED),
        ({"strategy": "learned"}, f"{MODEL}:floor", WEIGHTED),
        ({"sort": "latency"}, MODEL, "sort"),
        ({}, f"{MODEL}:nitro", "sort"),
        ({"strategy": "learned"}, MODEL, "learned"),
    ],
)
def test_the_official_client_can_set_weights(stack: Stack, provider: dict[str, Any], model: str, policy: str) -> None:
    found = explained(stack, provider, model)
    assert found["decision"]["policy"] == policy
    assert ("the wish of the request" in found["summary"]) == (policy == WEIGHTED)


def test_the_strategy_and_sort_of_a_key_set_weights(stack: Stack) -> None:
    key = stack.new_key(strategy="learned", sort="latency", usd_per_second=0.01)
    found = explained(stack, {}, key=key)
    assert (found["decision"]["policy"], found["endpoint"].partition(":")[0]) == (WEIGHTED, "groq")
