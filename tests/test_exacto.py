"""Tool quality first: who is deprioritised, and which requests it touches."""

from __future__ import annotations

import pytest

from router_service.core.preferences import NO_PREFERENCES, Preferences
from router_service.planning.make_plan import make_plan
from router_service.planning.strategies.exacto import DEPRIORITISED, GOOD, INSUFFICIENT, quality
from tests.market import ASK, TOOLS, endpoint, measure, state

ENDPOINTS = [endpoint(name) for name in "abcde"]
FINE = measure(1, 100, requests=500, tool_requests=500, malformed=5)


def test_the_three_tiers() -> None:
    """Malformed calls and a slow stream each deprioritise; too little traffic is judged by neither."""
    measures = {e.id: FINE for e in ENDPOINTS}
    measures["b:b"] = FINE._replace(malformed=100)
    measures["c:b"] = measure(1, 20, requests=500, tool_requests=500)
    measures["d:b"] = measure(1, 1, requests=99, tool_requests=199, malformed=199)
    assert quality(ENDPOINTS, measures) == [GOOD, DEPRIORITISED, DEPRIORITISED, INSUFFICIENT, GOOD]


def test_fewer_than_four_peers_condemn_nobody() -> None:
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
def test_it_is_on_for_tools_unless_the_request_says_otherwise(
    preferences: Preferences, tools: bool, policy: str
) -> None:
    measures = {e.id: FINE for e in ENDPOINTS} | {"a:b": FINE._replace(malformed=400)}
    plan = make_plan("a/b", ENDPOINTS, preferences, TOOLS if tools else ASK, state(measures=measures))
    assert plan.arms[0].policy == policy
    assert (plan.endpoints[-1].id == "a:b") is (policy == "exacto")


def test_the_installation_may_switch_it_off() -> None:
    plan = make_plan("a/b", ENDPOINTS, NO_PREFERENCES, TOOLS, state(auto_exacto=False))
    assert plan.arms[0].policy == "price"
