"""Test tool quality first: which endpoints are deprioritised, and for which requests."""

from __future__ import annotations

import pytest

from router_service.core.preferences import NO_PREFERENCES, Preferences
from router_service.planning.make_plan import make_plan
from router_service.planning.strategies.exacto import DEPRIORITISED, GOOD, INSUFFICIENT, quality
from tests.market import PROFILE, TOOL_PROFILE, endpoint, measure, state

ENDPOINTS = [endpoint(name) for name in "abcde"]
FINE = measure(1, 100, requests=500, tool_requests=500, malformed=5)


def test_endpoints_get_one_of_three_quality_tiers() -> None:
    """Expect malformed calls and a slow stream to deprioritise, and too little traffic to be judged by neither."""
    measures = {e.id: FINE for e in ENDPOINTS}
    measures["b:b"] = FINE._replace(malformed=100)
    measures["c:b"] = measure(1, 20, requests=500, tool_requests=500)
    measures["d:b"] = measure(1, 1, requests=99, tool_requests=199, malformed=199)
    assert quality(ENDPOINTS, measures) == [GOOD, DEPRIORITISED, DEPRIORITISED, INSUFFICIENT, GOOD]


def test_fewer_than_four_peers_deprioritise_no_endpoint() -> None:
    measures = {e.id: FINE for e in ENDPOINTS[:2]} | {"c:b": FINE._replace(malformed=400)}
    assert quality(ENDPOINTS[:3], measures) == [GOOD] * 3


@pytest.mark.parametrize(
    ("preferences", "tools", "policy"),
    [
        (NO_PREFERENCES, True, "exacto"),
        (NO_PREFERENCES, False, "price"),
        (Preferences(sort="exacto"), False, "exacto"),
        (Preferences(sort="price"), True, "sort"),
        (Preferences(strategy="price"), True, "price"),
    ],
)
def test_exacto_applies_to_requests_with_tools_unless_the_request_sets_an_order(
    preferences: Preferences, tools: bool, policy: str
) -> None:
    measures = {e.id: FINE for e in ENDPOINTS} | {"a:b": FINE._replace(malformed=400)}
    plan = make_plan("a/b", ENDPOINTS, preferences, TOOL_PROFILE if tools else PROFILE, state(measures=measures))
    assert plan.arms[0].policy == policy
    assert (plan.endpoints[-1].id == "a:b") is (policy == "exacto")


def test_the_installation_can_disable_exacto() -> None:
    plan = make_plan("a/b", ENDPOINTS, NO_PREFERENCES, TOOL_PROFILE, state(auto_exacto=False))
    assert plan.arms[0].policy == "price"
