"""The plan is a pure function, and its shares are the documented formula."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from data.catalogue.types import Endpoint, Price
from router_service.routing.candidates import Ask
from router_service.routing.health import Health
from router_service.routing.plan import State, make_plan, price_shares
from router_service.routing.preferences import NONE, Preferences

ASK = Ask(100, None, ("messages", "model"), False, False, 12)


def endpoint(name: str, usd: float, **more: object) -> Endpoint:
    price = Price(int(usd * 1e9), int(usd * 1e9))
    fields: dict[str, object] = {
        "id": f"{name}:b",
        "tag": name,
        "provider": name,
        "provider_name": name.title(),
        "model": "a/b",
        "upstream_model": "b",
        "wire_format": "openai_chat",
        "base_url": "http://x",
        "key_env": (),
        "price": price,
        "context_length": 8192,
    }
    return Endpoint(**(fields | more))  # type: ignore[arg-type]


A, B, C = endpoint("a", 1), endpoint("b", 2), endpoint("c", 3)


def state(outages: frozenset[str] = frozenset()) -> State:
    return State("v", 0, outages, None, 0.0, {}, {})


def test_the_references_worked_example() -> None:
    """A at $1, B at $2 with an outage, C at $3: A is nine times likelier than C; the order is A, C, B."""
    outages = frozenset({"b:b"})
    shares = price_shares([A, B, C], outages)
    assert shares == pytest.approx([0.9, 0.0, 0.1])
    plan = make_plan("a/b", [B, C, A], NONE, ASK, state(outages))
    assert [e.tag for e in plan.endpoints] == ["a", "c", "b"]


def test_a_hundred_thousand_draws_follow_the_shares() -> None:
    plan = make_plan("a/b", [A, B, C], NONE, ASK, state())
    dice = random.Random(5)
    drawn = Counter(next(plan.sample(dice.random()).order()).tag for _ in range(100_000))
    expected = {e.tag: p * 100_000 for e, p in zip(plan.endpoints, plan.probabilities, strict=True)}
    chi_square = sum((drawn[tag] - n) ** 2 / n for tag, n in expected.items())
    assert chi_square < 13.8  # 0.999 quantile with 2 degrees of freedom


def test_free_endpoints_are_not_divided_by() -> None:
    free = endpoint("f", 0)
    assert price_shares([free, A], frozenset()) == [1.0, 0.0]


def test_order_first_then_the_rest_unless_fallbacks_are_off() -> None:
    plan = make_plan("a/b", [A, B, C], Preferences(order=("C",)), ASK, state())
    assert [e.tag for e in plan.sample(0.7).order()] == ["c", "a", "b"]
    strict = make_plan("a/b", [A, B, C], Preferences(order=("c",), allow_fallbacks=False), ASK, state())
    assert [e.tag for e in strict.sample(0.7).order()] == ["c"]


def test_every_exclusion_has_its_reason_in_the_log() -> None:
    small = endpoint("s", 1, context_length=10)
    plan = make_plan("a/b", [A, B, small], Preferences(ignore=("b",)), ASK, state())
    rows = msgspec.msgpack.decode(plan.candidates)
    assert {r["endpoint"]: r["excluded_by"] for r in rows} == {
        "a:b": None,
        "b:b": "ignored_providers",
        "s:b": "context_length",
    }
    assert sum(r["probability"] for r in rows) == pytest.approx(1)


def test_base_slugs_match_variants_and_full_slugs_one() -> None:
    turbo = endpoint("d", 1, tag="d/turbo")
    plain = endpoint("d", 2)
    both = make_plan("a/b", [turbo, plain], Preferences(only=("d",)), ASK, state())
    one = make_plan("a/b", [turbo, plain], Preferences(only=("d/turbo",)), ASK, state())
    assert (len(both.endpoints), len(one.endpoints)) == (2, 1)


def test_an_outage_begins_with_failures_and_ends_with_its_window() -> None:
    now = [100.0]
    health = Health(clock=lambda: now[0])
    health.failure("e", "rate_limit_exceeded")
    health.failure("e", "provider_unavailable")
    assert health.refresh() == 0
    health.failure("e", "timeout")
    assert health.outages == {"e"}
    now[0] += 31
    assert health.refresh() == 2
    assert health.outages == frozenset()
