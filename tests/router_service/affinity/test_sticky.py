"""Test that a conversation stays where its prompt is cached, while that is cheaper or required."""

from __future__ import annotations

import msgspec
import pytest

from data.catalogue.types import Endpoint, Price
from models.selection.dataset.logged_decisions import decision_of
from router_service.affinity.sticky import StickyTable
from router_service.affinity.switching_cost import EndpointTerms, ExpectedTurn, switching_is_cheaper
from router_service.core.conversation import ConversationKey
from router_service.core.plan import Plan
from router_service.core.preferences import NO_PREFERENCES, Preferences
from router_service.core.usage import Usage
from router_service.health import Health
from router_service.planning.make_plan import make_plan
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack
from tests.market import PROFILE, endpoint, state
from tests.outcomes import failed
from tests.running import until

TALK = ConversationKey(b"talk", "conversation", False)
PENDING = TALK._replace(pinned=True)
CACHED = Price(1_000_000_000, 1_000_000_000, 100_000_000)
OFFERS = [endpoint(name, price=CACHED, cache_lifetime_s=300.0) for name in ("one", "two", "three")]
LONG = Usage(10_000, 100, cached_tokens=0)
Message = dict[str, object]


class Time:
    """Hold a clock that moves only when a test sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def plan(offers: list[Endpoint] = OFFERS, preferences: Preferences = NO_PREFERENCES) -> Plan:
    return make_plan("a/b", offers, preferences, PROFILE, state())


def remember(sticky: StickyTable, usage: Usage = LONG, at: Endpoint = OFFERS[1], **more: bool) -> None:
    sticky.remember(TALK, at, usage, **{"pending": False, "hour": False, **more})


def stays(sticky: StickyTable, affinity: ConversationKey = TALK, planned: Plan | None = None) -> str | None:
    """Return the provider of the sticky endpoint, or ``None``."""
    decision = sticky.apply(planned or plan(), affinity, 10_000).sample(0.999)
    return decision.plan.endpoints[decision.first].provider if decision.arm.policy == "sticky" else None


def test_a_conversation_stays_until_its_cache_has_expired() -> None:
    clock = Time()
    sticky = StickyTable(Health(clock), clock=clock)
    assert stays(sticky) is None
    remember(sticky)
    clock.now = 299.0
    assert stays(sticky) == "two"
    clock.now = 300.0
    assert stays(sticky) is None


def test_a_requested_hour_cache_lasts_an_hour_from_the_last_success() -> None:
    clock = Time()
    sticky = StickyTable(Health(clock), clock=clock)
    for clock.now in (0.0, 3599.0, 7198.0):
        assert clock.now == 0.0 or stays(sticky) == "two"
        remember(sticky, hour=True)


@pytest.mark.parametrize(
    ("usage", "source", "held"),
    [
        (Usage(10_000, cached_tokens=0), "conversation", "two"),  # the prompt is long enough to be cached
        (Usage(500, cached_tokens=0), "conversation", None),
        (Usage(500, cached_tokens=0), "session_id", "two"),  # the reference pins a session on its first success
        (Usage(2000, cached_tokens=0, cache_write_tokens=0), "conversation", None),  # the provider reports no write
        (Usage(2000, cached_tokens=0, cache_write_tokens=1900), "conversation", "two"),
    ],
)
def test_only_a_cached_or_probably_cached_prompt_is_remembered(usage: Usage, source: str, held: str | None) -> None:
    sticky = StickyTable(Health())
    talk = TALK._replace(source=source)  # type: ignore[arg-type]
    sticky.remember(talk, OFFERS[1], usage, pending=False, hour=False)
    assert stays(sticky, talk) == held


def test_without_a_cache_discount_a_conversation_does_not_stay() -> None:
    sticky = StickyTable(Health())
    remember(sticky, at=endpoint("two", price=Price(1_000_000_000, 1_000_000_000, 1_000_000_000)))
    assert len(sticky) == 0


def test_a_conversation_is_released_after_two_cache_misses() -> None:
    sticky = StickyTable(Health())
    for held in ("two", "two", None):
        remember(sticky)
        assert stays(sticky) == held


def test_the_decision_is_logged_with_probability_one_and_the_rest_follow_as_planned() -> None:
    sticky = StickyTable(Health())
    remember(sticky)
    planned = plan()
    decision = sticky.apply(planned, TALK, 10_000).sample(0.0)
    assert (decision.arm.policy, decision.arm.version) == ("sticky", planned.arms[0].version)
    assert decision.plan.probabilities == (0.0, 0.0, 1.0)
    assert [e.provider for e in decision.order()] == [
        "two",
        *(e.provider for e in planned.endpoints if e.provider != "two"),
    ]
    rows = msgspec.msgpack.decode(decision.plan.candidates)
    assert {row["endpoint"]: row["probability"] for row in rows} == {"one:b": 0.0, "three:b": 0.0, "two:b": 1.0}
    assert decision_of({"candidates": rows, "attempts": [{"endpoint": "two:b"}]}) is None
    assert planned.probabilities == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_an_order_an_exclusion_and_a_rate_limit_override_stickiness() -> None:
    clock = Time()
    health = Health(clock)
    sticky = StickyTable(health, clock=clock)
    remember(sticky, pending=True)
    assert stays(sticky, PENDING) == "two"
    assert stays(sticky, PENDING, plan(preferences=Preferences(order=("one",)))) is None
    assert stays(sticky, PENDING, plan(preferences=Preferences(ignore=("two",)))) is None
    health.report(failed("two:b", "rate_limit_exceeded", 30.0))
    assert stays(sticky, PENDING) is None


def test_a_conversation_moves_to_a_cheaper_endpoint_unless_it_is_pinned() -> None:
    sticky = StickyTable(Health())
    remember(sticky)
    cheap = [OFFERS[1], *(endpoint(name, 0.05) for name in ("one", "three"))]
    assert stays(sticky, TALK, plan(cheap)) is None
    assert stays(sticky, PENDING, plan(cheap)) == "two"


def test_a_pinned_conversation_stays_after_its_cache_has_expired() -> None:
    clock = Time()
    sticky = StickyTable(Health(clock), clock=clock)
    remember(sticky, Usage(50, 10, cached_tokens=0), pending=True)
    clock.now = 86_400.0
    assert stays(sticky, PENDING) == "two"
    assert stays(sticky, TALK) is None


def test_the_table_keeps_the_most_recent_conversations() -> None:
    sticky = StickyTable(Health(), size=2)
    talks = [TALK._replace(digest=name) for name in (b"a", b"b", b"a", b"c")]
    for talk in talks:
        sticky.remember(talk, OFFERS[1], LONG, pending=False, hour=False)
    assert len(sticky) == 2
    assert [stays(sticky, TALK._replace(digest=name)) for name in (b"a", b"b", b"c")] == ["two", None, "two"]


@pytest.mark.parametrize(
    ("price", "stay_ttft", "other_ttft", "pays"),
    [
        (1.0, None, None, False),
        (0.25, None, None, False),  # 10 000 at 0.25 are more than 9 000 at 0.1 and 1 000 at 1: $0.0025 and $0.0019
        (0.15, None, None, True),
        (0.15, 0.5, 2.5, False),  # two seconds are $0.0010
        (0.25, 3.0, 0.5, True),
        (0.25, None, 0.5, False),  # a TTFT that is not measured counts for nothing
    ],
)
def test_a_switch_weighs_the_lost_cache_and_the_ttft(
    price: float, stay_ttft: float | None, other_ttft: float | None, pays: bool
) -> None:
    other = EndpointTerms(Price(round(price * 1e9), 0), other_ttft)
    turn = ExpectedTurn(prompt=10_000, cached=9_000, completion=0)
    stay = EndpointTerms(Price(1_000_000_000, 0, 100_000_000), stay_ttft)
    assert switching_is_cheaper(stay, [(1.0, other)], turn, usd_per_second=0.0005) is pays


def test_a_switch_is_judged_by_the_average_cost_of_the_draw() -> None:
    stay, turn = EndpointTerms(Price(1_000_000_000, 0, 500_000_000), None), ExpectedTurn(1000, 1000, 0)
    cheap, dear = (EndpointTerms(Price(nano, 0), None) for nano in (100_000_000, 2_000_000_000))
    assert switching_is_cheaper(stay, [(0.9, cheap), (0.1, dear)], turn)
    assert not switching_is_cheaper(stay, [(0.5, cheap), (0.5, dear)], turn)
    assert not switching_is_cheaper(stay, [], turn)


SYSTEM: Message = {"role": "system", "content": "Be brief."}
LATER: list[Message] = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "and then?"}]


PROMPT = "many words of a long prompt " * 400


def talk(stack: Stack, model: str, count: int, **more: object) -> list[dict[str, object]]:
    """Send ``count`` turns of one conversation and return their rows of the log."""
    content = [{"type": "text", "text": PROMPT, "cache_control": {"type": "ephemeral"}}]
    messages: list[Message] = [SYSTEM, {"role": "user", "content": content}]
    found = []
    with stack.client as client:
        for _ in range(count):
            body = {"model": model, "messages": messages, "temperature": 0, **more}
            answer = client.post("/api/v1/chat/completions", json=body)
            assert answer.status_code == 200
            found.append(answer.headers["x-generation-id"])
            messages += LATER
    until(lambda: all(find_on_disk(stack.lake, name) for name in found), "the records are in the log")
    return [find_on_disk(stack.lake, name) for name in found]


# All three charge half their prompt price or less for cached reads, and no more than the others' full price.
SELLERS = {"only": ["deepinfra", "chutes", "novita-ai"]}


@pytest.mark.parametrize("stream", [False, True])
def test_turns_are_served_from_the_cache_of_the_first_endpoint(stack: Stack, stream: bool) -> None:
    first, *rest = talk(stack, "deepseek/deepseek-v3.2", 5, stream=stream, provider=SELLERS)
    assert (first["policy"], first["cached_tokens"]) == ("price", 0)
    assert {row["endpoint"] for row in rest} == {first["endpoint"]}
    assert {(row["policy"], row["propensity"]) for row in rest} == {("sticky", 1.0)}
    # The estimate covers the whole previous turn, and providers cache only a part of it.
    assert first["held_tokens"] is None
    assert all(row["held_tokens"] >= row["cached_tokens"] > 0 for row in rest)
    assert all(row["cached_tokens"] > 2000 for row in rest)


def test_both_wire_formats_report_cached_tokens(stack: Stack) -> None:
    rows = talk(stack, "anthropic/claude-haiku-4.5", 2, provider={"only": ["anthropic"]})
    assert rows[0]["cache_write_tokens"] > 2000
    assert rows[1]["cached_tokens"] > 2000


def test_a_conversation_moves_when_its_endpoint_fails(stack: Stack) -> None:
    rows = talk(stack, "deepseek/deepseek-v3.2", 2, provider=SELLERS)
    stack.lab.modes[rows[1]["provider"]] = {"mode": "error"}
    later = talk(stack, "deepseek/deepseek-v3.2", 2, provider=SELLERS)
    attempts = [a["endpoint"] for a in later[0]["attempts"]]
    assert attempts[0] == rows[1]["endpoint"] == rows[0]["endpoint"]
    assert later[1]["endpoint"] == later[0]["endpoint"] == attempts[1]
