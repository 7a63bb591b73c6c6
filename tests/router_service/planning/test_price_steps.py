"""Test that a plan expects the price that a prompt of the estimated length will be billed at."""

from __future__ import annotations

import time

import pytest

from data.catalogue.price import MeterPrices, Price, PriceStep, UtcWindow
from data.catalogue.types import Catalogue, Model
from data.lake import Lake
from router_service.affinity.switching_cost import ExpectedTurn, turn_usd
from router_service.core.preferences import MaxPrice, Preferences
from router_service.health import Health
from router_service.planning.eligibility import parts_over_limit
from router_service.planning.make_plan import make_plan
from router_service.planning.model_variants import RequestedModel
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from tests.market import PROFILE, endpoint, state

USD = 10**9
LONG = PriceStep((("prompt", 4 * USD), ("completion", 4 * USD)), 100_000)
NIGHT = PriceStep((("prompt", USD // 2), ("completion", USD // 2)), window=UtcWindow(16 * 60, 0))


def stepped(*steps: PriceStep) -> Price:
    return Price(USD, USD, meters=MeterPrices(steps=steps))


OFFERS = (
    endpoint("cheap", context_length=1_000_000, price=stepped(LONG)),
    endpoint("flat", 2.0, context_length=1_000_000),
)


@pytest.mark.parametrize("strategy", ["price", "adjusted", "sort"])
def test_the_plan_weighs_endpoints_by_the_price_at_the_length_of_the_prompt(strategy: str) -> None:
    """An endpoint that is cheaper for short prompts may be dearer for long ones."""
    preferences = Preferences(sort="price") if strategy == "sort" else Preferences(strategy=strategy)
    likeliest = []
    for tokens in (100_000, 100_001):
        plan = make_plan("a/b", OFFERS, preferences, PROFILE._replace(prompt_tokens=tokens), state())
        _, first = max(zip(plan.probabilities, [e.provider for e in plan.endpoints], strict=True))
        likeliest.append(first)
    assert likeliest == ["cheap", "flat"]


def test_the_hour_of_the_request_decides_on_windows() -> None:
    """Plans are made for the hour, and cached by it."""
    offers = (endpoint("night", price=stepped(NIGHT)), endpoint("flat", 0.8))
    firsts = []
    for hour in (15, 16, 23, 24):
        plan = make_plan("a/b", offers, Preferences(sort="price"), PROFILE._replace(hour=hour), state())
        firsts.append(plan.endpoints[0].provider)
    assert firsts == ["flat", "night", "night", "flat"]


def test_prompts_on_either_side_of_a_step_do_not_share_a_plan(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The planner rounds lengths up, past the step in this case, and still plans for the right price."""
    models = {"a/b": Model("a/b", "a", "b", 0, 1_000_000, ("text",), ("text",))}
    offers = {"a/b": OFFERS}
    policies = PolicyStore(Lake(tmp_path_factory.mktemp("lake")))
    planner = Planner(
        Catalogue("v", models, {}, offers, {}), offers, Health(), policies, 0.5, strategy="price", clock=time.monotonic
    )
    wanted = (RequestedModel("a/b", "a/b"),)
    plans = {
        tokens: planner.plan(wanted, Preferences(sort="price"), PROFILE._replace(prompt_tokens=tokens))
        for tokens in (95_000, 99_000, 100_000, 100_001, 101_000)
    }
    firsts = {tokens: plan.endpoints[0].provider for tokens, plan in plans.items()}
    assert firsts == {95_000: "cheap", 99_000: "cheap", 100_000: "cheap", 100_001: "flat", 101_000: "flat"}
    assert plans[99_000] is plans[100_000]


def test_max_price_is_compared_with_the_list_price_and_the_fee() -> None:
    """A limit per token means the price of short prompts, one per request the fee."""
    long = endpoint("a", price=stepped(LONG))
    assert parts_over_limit(long, MaxPrice(prompt=1, completion=1)) == ()
    fee = endpoint("a", price=Price(USD, USD, meters=MeterPrices(request=5_000_000)))
    assert parts_over_limit(fee, MaxPrice(prompt=1, request=0.005)) == ()
    assert parts_over_limit(fee, MaxPrice(prompt=0.5, request=0.004)) == ("prompt", "request")


def test_a_conversation_is_priced_at_the_length_of_its_next_turn() -> None:
    """Staying and moving are compared at what each would be billed."""
    assert turn_usd(stepped(LONG), ExpectedTurn(100_000, 0, 0)) == pytest.approx(0.1)
    assert turn_usd(stepped(LONG), ExpectedTurn(200_000, 0, 0)) == pytest.approx(0.8)
