"""Test that requests share cached plans, and that a cached plan equals one that is made for the request alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue.types import Catalogue, Endpoint, Model
from data.lake import Lake
from models.selection.decision.features import planned_limit, planned_tokens
from router_service.core.plan import Plan
from router_service.core.preferences import Preferences
from router_service.health import Health
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.model_variants import RequestedModel
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from tests.market import PROFILE, endpoint, state

LIMITS = (None, 100, 4096, 4096, 8191, 65_536)
PARAMETERS = frozenset({"tools", "seed", "max_tokens"})
OFFERS: dict[str, tuple[Endpoint, ...]] = {
    "a/b": tuple(
        endpoint(
            f"p{number}",
            1 + number,
            max_completion_tokens=limit,
            context_length=1_000_000,
            supported_parameters=PARAMETERS if number % 2 else frozenset(),
        )
        for number, limit in enumerate(LIMITS)
    ),
    "c/d": (
        endpoint("q", 2, id="q:d", model="c/d", max_completion_tokens=500, context_length=1_000_000),
        endpoint("r", 3, id="r:d", model="c/d", max_completion_tokens=16_000, context_length=1_000_000),
    ),
    # No endpoint of this model has a limit.
    "e/f": (endpoint("s", 2, id="s:f", model="e/f", context_length=1_000_000),),
}
POOLS = (("a/b",), ("c/d",), ("e/f",), ("a/b", "c/d"), ("c/d", "e/f"))


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    models = {name: Model(name, "x", name, 0, 1_000_000, ("text",), ("text",)) for name in OFFERS}
    policies = PolicyStore(Lake(tmp_path_factory.mktemp("lake")))
    catalogue = Catalogue("v", models, {}, OFFERS, {})
    yield Planner(catalogue, OFFERS, Health(), policies, 0.5, strategy="price", clock=time.monotonic)


def profile(max_tokens: int | None, names: tuple[str, ...] = (), **more: Any) -> RequestProfile:
    """Return the profile of a request with the limit ``max_tokens`` and further fields ``names``."""
    parameters = ("messages", "model", *names)
    limit = planned_limit(max_tokens)
    return PROFILE._replace(max_tokens=max_tokens, parameters=parameters, planned_limit=limit, **more)


def uncached(pool: tuple[str, ...], preferences: Preferences, request: RequestProfile) -> Plan:
    """Return the plan that is made from the request's own profile."""
    endpoints = [one for name in pool for one in OFFERS[name]]
    return make_plan(pool[0], endpoints, preferences, request, state())


def requested(pool: tuple[str, ...]) -> tuple[RequestedModel, ...]:
    return tuple(RequestedModel(name, name) for name in pool)


def test_ten_thousand_varying_requests_share_a_handful_of_plans(planner: Planner) -> None:
    """Vary ``max_tokens`` and send a new odd parameter name with each request."""
    plans: dict[int, Plan] = {}
    limits = set()
    for number in range(10_000):
        max_tokens = 1 + number * number % 200_003
        limits.add(max_tokens)
        request = profile(max_tokens, (f"x_{number}", "\x00odd", "constructor"))
        plan = planner.plan(requested(("a/b",)), Preferences(), request)
        plans[id(plan)] = plan
        eligible = {one.id for one in plan.endpoints}
        assert eligible == {
            one.id
            for one in OFFERS["a/b"]
            if one.max_completion_tokens is None or one.max_completion_tokens >= max_tokens
        }
    assert len(limits) > 9000
    # One plan for each distinct set of eligible endpoints and each power of two up to the largest limit.
    assert len(plans) <= len(set(LIMITS)) + max(limits).bit_length()
    assert len(planner._plans) <= len(set(LIMITS)) + max(limits).bit_length()


boundaries = sorted({limit + step for limit in (*LIMITS, 500, 16_000) if limit for step in (-1, 0, 1)})
requests = st.builds(
    profile,
    st.none() | st.integers(1, 2_000_000) | st.sampled_from(boundaries),
    st.lists(
        st.sampled_from(("tools", "seed", "max_tokens", "response_format", "user", "n")) | st.text(max_size=12),
        unique=True,
        max_size=5,
    ).map(tuple),
    prompt_tokens=st.integers(0, 500_000),
    stream=st.booleans(),
)
preferences = st.builds(
    Preferences,
    require_parameters=st.booleans(),
    allow_fallbacks=st.booleans(),
    strategy=st.sampled_from((None, "price", "adjusted")),
)


@given(st.sampled_from(POOLS), preferences, requests)
def test_a_cached_plan_equals_the_plan_for_the_request_alone(
    planner: Planner, pool: tuple[str, ...], preferences: Preferences, request: RequestProfile
) -> None:
    """Compare which endpoints are eligible, why others are not, and with which probabilities they are drawn."""
    cached = planner.plan(requested(pool), preferences, request)
    # Adjusted prices depend on the length of the prompt, which plans share in classes.
    alone = uncached(pool, preferences, request._replace(prompt_tokens=planned_tokens(request.prompt_tokens)))
    assert cached.endpoints == alone.endpoints
    assert cached.excluded == alone.excluded
    assert cached.probabilities == alone.probabilities
    assert cached.candidates == alone.candidates
    assert cached.arms == alone.arms
    exact = uncached(pool, preferences, request)
    assert {one.id for one in cached.endpoints} == {one.id for one in exact.endpoints}
