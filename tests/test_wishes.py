"""What a client minds weighs the learned decision where the strategy is named, and fixes the order where it is not."""

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
from router_service.admission.policy import KeyRulesError, parse_rules, rules_fields
from router_service.core.errors import ApiError
from router_service.core.preferences import Preferences, parse_preferences
from router_service.planning.constraints import Constraint, ConstraintSet
from router_service.planning.make_plan import make_plan, strategy_of
from router_service.planning.policy_store import PolicyStore
from router_service.planning.strategies.learned import WEIGHTED
from router_service.planning.utility_preferences import weights_of
from router_service.settings import Settings
from tests.conftest import House
from tests.learned_world import MODEL, Lake, learned_house, teach
from tests.market import ASK, endpoint, measure, state

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LEARNED = Preferences(strategy="learned")
CHEAP, QUICK = endpoint("cheap", 0.1, id="cheap:b"), endpoint("quick", 4.0, id="quick:b")
STREAM = ASK._replace(prompt_tokens=300, stream=True, max_tokens=50)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PolicyStore:
    """A policy that knows the dear one to be thrice as quick; a usual second is worth about the difference."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    teach(lake, {("cheap:b", None): 3.0, ("quick:b", None): 1.0})
    store = PolicyStore(lake)
    store.poll()
    return store


def planned(store: PolicyStore, preferences: Preferences, **more: Any) -> Any:
    known = {"learned": store.current, "learned_share": 0.5, "strategy": "learned"} | more
    return make_plan("a/b", [CHEAP, QUICK], preferences, STREAM, state(**known))


def first(store: PolicyStore, preferences: Preferences, **more: Any) -> tuple[str, str]:
    """Who is usually tried first, and by which policy."""
    plan = planned(store, preferences, **more)
    place = max(range(2), key=plan.probabilities.__getitem__)
    return plan.endpoints[place].tag, plan.arms[0].policy


def test_a_sort_beside_the_named_strategy_is_weighed(store: PolicyStore) -> None:
    for sort, wanted in (("price", "cheap"), ("latency", "quick")):
        assert first(store, Preferences(strategy="learned", sort=sort)) == (wanted, WEIGHTED)
        # A key's strategy names it, too; an installation's does not.
        assert first(store, Preferences(sort=sort), named=True) == (wanted, WEIGHTED)
        assert first(store, Preferences(sort=sort))[1] == "sort"


def test_every_other_strategy_leaves_a_sort_its_order() -> None:
    for strategy in ("price", "adjusted", "exacto"):
        found = Preferences(strategy=strategy, sort="latency")
        assert strategy_of(found, ASK, state(strategy="learned", named=True)) == "sort"
    assert strategy_of(Preferences(strategy="learned", sort="exacto"), ASK, state()) == "exacto"
    assert strategy_of(Preferences(strategy="learned", sort="price", order=("a",)), ASK, state()) == "order"


def test_a_wish_has_all_of_the_traffic_and_is_no_choice_of_the_installations(store: PolicyStore) -> None:
    plan = planned(store, Preferences(strategy="learned", sort="latency"))
    assert [(arm.policy, arm.weight) for arm in plan.arms] == [(WEIGHTED, 1.0)]
    assert WEIGHTED not in REPLAYED_POLICIES
    assert WEIGHTED != CONTROL_POLICY
    assert [arm.policy for arm in planned(store, LEARNED).arms] == ["learned", "price"]


def test_who_fails_is_followed_in_the_order_of_the_sort(store: PolicyStore) -> None:
    measures = {"cheap:b": measure(3.0, 50), "quick:b": measure(1.0, 50)}
    plan = planned(store, Preferences(strategy="learned", sort="latency"), measures=measures)
    assert [e.tag for e in plan.endpoints] == ["quick", "cheap"]


@pytest.mark.parametrize("more", [{"learned": None}, {"learned_share": 0.0}])
def test_without_a_policy_the_order_is_that_of_the_sort(store: PolicyStore, more: dict[str, Any]) -> None:
    assert first(store, Preferences(strategy="learned", sort="price"), **more) == ("cheap", "sort")
    assert first(store, Preferences(strategy="learned", usd_per_second=1.0), **more) == ("cheap", "price")


def test_the_more_a_second_is_worth_the_rather_is_the_quick_one_chosen(store: PolicyStore) -> None:
    worths = (0.0, 0.00001, 0.001, 1000.0)
    plans = [planned(store, Preferences(strategy="learned", usd_per_second=worth)) for worth in worths]
    quick = [dict(zip((e.tag for e in p.endpoints), p.probabilities, strict=True))["quick"] for p in plans]
    assert all(before <= after for before, after in pairwise(quick))
    assert (quick[0] < 0.05, quick[-1] > 0.95) == (True, True)


def test_what_the_operator_says_is_usual_and_the_installations_own_choice(store: PolicyStore) -> None:
    rich = Settings(usd_per_second=1.0).wish
    assert first(store, LEARNED, wish=rich) == ("quick", "learned")
    assert first(store, LEARNED, wish=Settings(usd_per_second=0.0).wish) == ("cheap", "learned")
    assert Settings().wish == UtilityWeights() == UtilityWeights(USD_PER_SECOND, USD_PER_SECOND, USD_PER_FAILURE, 1.0)
    with pytest.raises(ValidationError, match="usd_per_failure"):
        Settings(usd_per_failure=-1.0)


def test_presets_multiply_what_is_usual() -> None:
    usual = UtilityWeights(0.1, 0.1, 0.5)
    assert weights_for_sort(None, usual) is usual
    assert weights_for_sort("latency", usual) == pytest.approx((1.0, 0.1, 5.0, 0.1))
    assert weights_for_sort("throughput", usual) == pytest.approx((0.1, 1.0, 5.0, 0.1))
    assert weights_for_sort("price", usual) == pytest.approx((0.01, 0.01, 0.05, 1.0))
    assert set(SORT_FACTORS) == {"price", "latency", "throughput"}


def test_a_requests_worths_replace_the_keys_and_those_the_installations() -> None:
    key = ConstraintSet(Constraint("This key", Preferences(usd_per_second=0.1, usd_per_failure=0.2)))
    assert weights_of(key.apply(Preferences(usd_per_second=0.3)), UtilityWeights()) == UtilityWeights(0.3, 0.3, 0.2)
    assert weights_of(Preferences(), UtilityWeights(0.5, 0.5)) == UtilityWeights(0.5, 0.5)


def test_a_keys_sort_weighs_a_request_that_names_the_learned_strategy() -> None:
    key = ConstraintSet(Constraint("This key", Preferences(sort="latency")))
    assert key.apply(LEARNED).sort_by == "latency"
    assert ConstraintSet(Constraint("This key", Preferences(sort="exacto"))).apply(LEARNED).sort_by is None


@pytest.mark.parametrize("worth", ["-1", "1001", "1e999", '"much"'])
def test_a_worth_out_of_bounds_is_refused(worth: str) -> None:
    with pytest.raises(ApiError, match="usd_per_second must be a number of USD from 0 to 1000"):
        parse_preferences(f'{{"usd_per_second": {worth}}}'.encode())
    with pytest.raises(KeyRulesError, match=r"usd_per_second must be a number|out of range"):
        parse_rules(f'{{"usd_per_second": {worth}}}')


def test_a_keys_worths_are_kept_as_they_were_given() -> None:
    policy = parse_rules('{"usd_per_second": 0.01, "usd_per_failure": 0}')
    assert rules_fields(policy) == {"usd_per_second": 0.01, "usd_per_failure": 0}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Groq is the dearer and the quicker one."""
    waits = {("groq:openai/gpt-oss-120b", None): 0.5, ("deepinfra:openai/gpt-oss-120b", None): 1.0}
    with learned_house(tmp_path, waits, usd_per_second=0.00001, usd_per_failure=0.0001) as opened:
        yield opened


def explained(house: House, provider: dict[str, Any], model: str = MODEL, key: str | None = None) -> dict[str, Any]:
    extra = {"provider": provider | {"only": ["groq", "deepinfra"]}}
    with openai.OpenAI(base_url=f"{house.url}/api/v1", api_key=key or house.key) as client:
        answer = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "x"}], max_tokens=50, stream=True, extra_body=extra
        )
        name = answer.headers["x-generation-id"]
        list(answer.parse())
    with house.client as client:
        headers = {"authorization": f"Bearer {key or house.key}"}
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
def test_by_the_official_client(house: House, provider: dict[str, Any], model: str, policy: str) -> None:
    found = explained(house, provider, model)
    assert found["decision"]["policy"] == policy
    assert ("the wish of the request" in found["summary"]) == (policy == WEIGHTED)


def test_a_keys_strategy_and_sort_are_a_wish(house: House) -> None:
    key = house.new_key(strategy="learned", sort="latency", usd_per_second=0.01)
    found = explained(house, {}, key=key)
    assert (found["decision"]["policy"], found["endpoint"].partition(":")[0]) == (WEIGHTED, "groq")
