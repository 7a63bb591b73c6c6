"""Test that network distance is learned, and that it changes the order for the clients that it concerns."""

from __future__ import annotations

import asyncio
import random
from itertools import cycle
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.requests import Request
from starlette.responses import Response

from lab.server import Lab
from lab.wire import Wire
from router_service.core.preferences import Preferences
from router_service.health.distance import MAX_REGIONS, MIN_OBSERVATIONS, NetworkDistances
from router_service.planning.make_plan import make_plan
from router_service.planning.strategies.adjusted import at_distance, shrink_measurements
from tests.conftest import Stack, open_stack
from tests.market import PROFILE, endpoint, measure, state
from tests.running import until

MODEL = "openai/gpt-oss-120b"
ASIA, EUROPE = PROFILE._replace(client_region="asia"), PROFILE._replace(client_region="europe")


def observed(rounds: int, ttfts: dict[tuple[str, str | None], float], spread: float = 0.0) -> NetworkDistances:
    """Observe ``rounds`` responses of each endpoint to each region, log-normal around ``ttfts`` in seconds."""
    found, dice = NetworkDistances(), random.Random(3)
    for _ in range(rounds):
        for (name, region), ttft in ttfts.items():
            found.add(name, region, ttft * dice.lognormvariate(0, spread))
    return found


CROSSED = {("a:m", "asia"): 0.2, ("a:m", "europe"): 0.8, ("b:m", "asia"): 0.8, ("b:m", "europe"): 0.2}


def test_the_distance_is_the_remainder_beside_the_means_of_endpoint_and_region() -> None:
    found = observed(200, CROSSED, spread=0.3)
    near, far = found.factor("a:m", "asia"), found.factor("b:m", "asia")
    assert far / near == pytest.approx(4, rel=0.25)
    assert found.factor("b:m", "europe") / found.factor("a:m", "europe") == pytest.approx(1 / 4, rel=0.25)


def test_a_region_that_is_slower_everywhere_is_not_farther_from_any_endpoint() -> None:
    ttfts = {(name, region): 0.2 * (5 if region == "asia" else 1) for name, region in CROSSED}
    found = observed(200, ttfts, spread=0.3)
    assert found.factor("a:m", "asia") == pytest.approx(found.factor("b:m", "asia"), rel=0.2)


def test_a_handful_of_responses_has_no_effect_and_few_have_a_small_one() -> None:
    few = observed(MIN_OBSERVATIONS, CROSSED)
    assert few.factor("a:m", "asia") == 1
    assert few.factor("a:m", "africa") == few.factor("a:m", None) == few.factor("c:m", "asia") == 1
    some, many = observed(15, CROSSED), observed(150, CROSSED)
    assert many.factor("a:m", "asia") < some.factor("a:m", "asia") < 1


def test_a_new_endpoint_has_its_providers_distance() -> None:
    found = observed(100, CROSSED)
    assert found.factor("a:new", "asia") == pytest.approx(found.factor("a:m", "asia"), rel=0.2)
    assert found.factor("a:new", "asia") < 1


def test_regions_beyond_the_maximum_are_not_kept() -> None:
    ttfts = {(name, f"r{number}"): 1.0 + number for number in range(MAX_REGIONS + 3) for name in ("a:m", "b:m")}
    ttfts |= {("b:m", region): 0.2 for _, region in list(ttfts)}
    found = observed(30, ttfts)
    kept = [region for region in {region for _, region in ttfts} if found.factor("a:m", region) != 1]
    assert len(kept) <= MAX_REGIONS


@pytest.mark.parametrize("preferences", [Preferences(sort="latency"), Preferences(strategy="adjusted")])
def test_the_order_changes_only_for_the_client_that_is_far(preferences: Preferences) -> None:
    market = [endpoint("a"), endpoint("b")]
    measures = {"a:b": measure(0.5, 50), "b:b": measure(0.55, 50)}
    far = {("a:b", "asia"): 4.0}

    def chances(ask: Any, **more: Any) -> dict[str, float]:
        plan = make_plan("a/b", market, preferences, ask, state(measures=measures, **more))
        return {e.tag: p for e, p in zip(plan.endpoints, plan.probabilities, strict=True)}

    usual = chances(PROFILE)
    assert usual["a"] > usual["b"]
    assert chances(PROFILE, distances=far) == chances(EUROPE, distances=far) == usual
    moved = chances(ASIA, distances=far)
    assert moved["a"] < moved["b"]


def test_throughput_changes_with_the_ttft_and_by_at_most_the_factor() -> None:
    """Take 500 tokens at 50 a second: 10 s, of which 1 s is TTFT, so twice the TTFT makes it 11 s."""
    levels = shrink_measurements([measure(1, 50, requests=10**9)] * 3)
    found = at_distance(levels, [2.0, 1.0, 0.5], 500)
    assert found.ttft == pytest.approx([2, 1, 0.5])
    assert found.speed == pytest.approx([500 / 11, 50, 500 / 9.5])
    extreme = at_distance(levels, [100.0, 1.0, 0.01], 1)
    assert extreme.speed == pytest.approx([50 / 100, 50, 50 * 100])
    assert at_distance(levels, [1.0] * 3, 500) is levels


NEAR = (("groq", "asia"), ("deepinfra", "europe"))


class FarLab(Lab):
    """Imitate providers that are near to some users and far from others."""

    DELAYS = {("groq", "europe"): 0.15, ("deepinfra", "asia"): 0.15}

    async def answer(self, provider: str, request: Request, wire: Wire) -> Response:
        await asyncio.sleep(self.DELAYS.get((provider, (await request.json()).get("user")), 0.01))
        return await super().answer(provider, request, wire)


def preferred(stack: Stack, region: str | None) -> str:
    """Return the provider that ``sort: latency`` puts first."""
    headers = {"x-portolan-client-region": region} if region else {}
    body = {"model": MODEL, "provider": {"only": ["groq", "deepinfra"], "sort": "latency"}}
    with stack.client as client:
        answer = client.post("/api/v1/route/preview", json=body, headers=headers)
    return str(answer.json()["data"]["endpoints"][0]["tag"])


def test_clients_of_each_region_are_sent_to_the_provider_that_is_quickest_for_them(tmp_path: Path) -> None:
    with open_stack(tmp_path, FarLab(time_scale=0.0, faults=False), ttft_timeout=5.0) as stack:
        with openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key) as client:
            # The near ones come twice, so that one slow response does not decide the median.
            pairs = cycle([*NEAR, *NEAR, ("groq", "europe"), ("deepinfra", "asia")])
            for _, (tag, region) in zip(range(60), pairs, strict=False):
                chunks = client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": "x"}],
                    user=region,
                    stream=True,
                    max_tokens=5,
                    extra_headers={"x-portolan-client-region": region},
                    extra_body={"provider": {"only": [tag]}},
                )
                assert list(chunks)
        until(lambda: preferred(stack, "asia") == "groq", "asia is near to Groq")
        until(lambda: preferred(stack, "europe") == "deepinfra", "europe is near to Deep Infra")
