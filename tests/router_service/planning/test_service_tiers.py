"""Test service tiers: which endpoints they admit in which order, what is sent upstream and what is charged."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from data.catalogue import load_catalogue
from data.catalogue.types import Catalogue, Endpoint, Model, Price
from data.lake import Lake
from data.record.record import RECORD_SCHEMA
from lab.server import Lab
from router_service.affinity.sticky import StickyTable
from router_service.api.skins.chat.parse import parse_generation
from router_service.core.conversation import ConversationKey
from router_service.core.errors import ApiError
from router_service.core.preferences import parse_preferences
from router_service.core.request_source import RequestSource
from router_service.core.usage import Usage
from router_service.core.wire.chat import DIALECT
from router_service.health import Health
from router_service.planning.availability import NoEndpoints
from router_service.planning.decide import decisions
from router_service.planning.model_variants import parse_model
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from router_service.planning.service_tiers import requested_tier
from router_service.providers.formats import FORMATS
from tests.conftest import Stack, open_stack
from tests.market import PROFILE, endpoint
from tests.outcomes import answered, failed

MODEL = "openai/gpt-5.1"
MESSAGES = [{"role": "user", "content": "Name the winds of the Mediterranean."}]
OFFERS = {
    "a/b": (
        endpoint("dear", 9),
        endpoint("cheap", 1),
        endpoint("quick", 2, id="quick:b@priority", tag="quick/priority", service_tier="priority"),
        endpoint("sooner", 4, id="sooner:b@priority", tag="sooner/priority", service_tier="priority"),
        endpoint("idle", 0.5, id="idle:b@flex", tag="idle/flex", service_tier="flex"),
        endpoint("later", 0.4, id="later:b@flex", tag="later/flex", service_tier="flex"),
    ),
    "c/d": (endpoint("plain", 3, id="plain:d", model="c/d"), endpoint("other", 2, id="other:d", model="c/d")),
}
SPEEDS = {"dear:b": 30.0, "cheap:b": 10.0, "quick:b@priority": 50.0, "sooner:b@priority": 90.0}


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    models = {name: Model(name, "x", name, 0, 8192, ("text",), ("text",)) for name in OFFERS}
    catalogue = Catalogue("v", models, {}, OFFERS, {})
    health = Health()
    for name, speed in SPEEDS.items():
        health.report(answered(name, 1.0, speed))
    return Planner(catalogue, OFFERS, health, PolicyStore(Lake(tmp_path)), 0.5, strategy="price", clock=time.monotonic)


def tried(planner: Planner, name: str, tier: str | None, **provider: object) -> list[str]:
    """Return the tags in the order of attempts."""
    preferences = planner.preferences(msgspec.json.encode(provider))
    ask = PROFILE._replace(service_tier=requested_tier(tier, None))
    (decision,) = decisions(planner, [name], preferences, ask, lambda: 0.0)
    return [e.tag for e in decision.order()]


FASTEST = ["sooner/priority", "quick/priority", "dear", "cheap"]


@pytest.mark.parametrize(
    ("name", "tier", "provider", "tags"),
    [
        ("a/b", "priority", {}, FASTEST),
        ("a/b", "fast", {"strategy": "adjusted"}, FASTEST),
        # The request's own sort applies within the tiers.
        ("a/b", "priority", {"sort": "price"}, ["quick/priority", "sooner/priority", "cheap", "dear"]),
        ("a/b", "priority", {"only": ["cheap"]}, ["cheap"]),
        ("a/b", "priority", {"only": ["cheap", "quick/priority"]}, ["quick/priority", "cheap"]),
        ("a/b", "flex", {}, ["later/flex", "idle/flex"]),
        ("a/b", "flex", {"ignore": ["later/flex"]}, ["idle/flex"]),
        ("c/d", "flex", {}, ["other", "plain"]),
        ("c/d", "priority", {"sort": "price"}, ["other", "plain"]),
        ("a/b:nitro", None, {}, FASTEST),
        ("a/b:nitro", "auto", {}, FASTEST),
        ("a/b:nitro", "default", {}, ["dear", "cheap"]),
        ("a/b:floor", None, {}, ["later/flex", "idle/flex", "cheap", "dear"]),
        ("a/b", None, {}, ["cheap", "dear"]),
        ("a/b", "default", {}, ["cheap", "dear"]),
        ("a/b", "scale", {}, ["cheap", "dear"]),
        ("a/b", None, {"sort": "throughput"}, ["dear", "cheap"]),
        ("a/b", None, {"only": ["quick/priority"]}, ["quick/priority"]),
        ("a/b", None, {"only": ["idle/flex", "dear"]}, ["idle/flex", "dear"]),
        ("a/b", None, {"order": ["quick/priority"]}, ["quick/priority", "cheap", "dear"]),
        ("a/b:nitro", None, {"order": ["dear"]}, ["dear", "cheap"]),
    ],
)
def test_the_requested_tier_sets_the_pool_and_the_order(
    planner: Planner, name: str, tier: str | None, provider: dict[str, Any], tags: list[str]
) -> None:
    assert tried(planner, name, tier, **provider) == tags


def test_an_outage_ranks_above_the_tier(planner: Planner) -> None:
    for _ in range(20):
        planner.health.report(failed("sooner:b@priority", "provider_unavailable"))
    assert planner.health.outages == {"sooner:b@priority"}
    assert tried(planner, "a/b", "priority") == ["quick/priority", "dear", "cheap", "sooner/priority"]


def test_a_tier_that_was_not_requested_is_excluded_with_a_reason(planner: Planner) -> None:
    wanted = (parse_model("a/b", planner.catalogue),)
    plain = planner.plan(wanted, planner.preferences(b""), PROFILE)
    assert {e.tag for e, reason in plain.excluded if reason == "service_tier"} == {
        "quick/priority",
        "sooner/priority",
        "idle/flex",
        "later/flex",
    }
    flex = planner.plan(wanted, planner.preferences(b""), PROFILE._replace(service_tier="flex"))
    assert {e.tag for e, reason in flex.excluded if reason == "service_tier"} == {
        "dear",
        "cheap",
        "quick/priority",
        "sooner/priority",
    }
    assert (plain.service_tier, flex.service_tier) == (None, "flex")


def test_the_error_mentions_only_admitted_endpoints(planner: Planner) -> None:
    with pytest.raises(NoEndpoints) as caught:
        tried(planner, "a/b", None, max_price={"prompt": 0.1})
    availability = caught.value.availability
    assert availability is not None
    assert availability["excluded_by"] == ["max_price"]
    # Flex would be cheaper still, but was not requested.
    assert availability["nearest"]["endpoint"] == "cheap:b"
    assert availability["affected_providers"] == ["Cheap", "Dear"]


def test_a_conversation_does_not_stay_in_another_tier(planner: Planner) -> None:
    sticky = StickyTable(planner.health)
    affinity = ConversationKey(b"conversation", "session_id", pinned=False)
    cheap = msgspec.structs.replace(OFFERS["a/b"][1], price=Price(10**9, 10**9, 10**8))
    sticky.remember(affinity, cheap, Usage(5000, 10), pending=False, hour=False)
    wanted, fast = (parse_model("a/b", planner.catalogue),), planner.preferences(b'{"sort":"throughput"}')
    plain = planner.plan(wanted, fast, PROFILE)
    assert [e.tag for e in sticky.apply(plain, affinity, 5000).sample(0.0).order()] == ["cheap", "dear"]
    prior = planner.plan(wanted, fast, PROFILE._replace(service_tier="priority"))
    assert sticky.apply(prior, affinity, 5000) is prior


@pytest.mark.parametrize(
    ("service_tier", "speed", "meaning"),
    [
        (None, None, None),
        ("auto", None, None),
        ("auto", "fast", "priority"),
        (None, "fast", "priority"),
        (None, "standard", None),
        ("standard_only", None, "default"),
        ("standard", None, "default"),
        ("default", "fast", "default"),
        ("fast", None, "priority"),
        ("flex", None, "flex"),
    ],
)
def test_anthropic_names_map_to_the_same_tiers(
    service_tier: str | None, speed: str | None, meaning: str | None
) -> None:
    assert requested_tier(service_tier, speed) == meaning
    with pytest.raises(ApiError, match="must be one of"):
        requested_tier("express", None)


def offer(identity: str) -> Endpoint:
    return next(e for offers in load_catalogue().endpoints.values() for e in offers if e.id == identity)


def sent(identity: str, **fields: str) -> Any:
    """Return ``service_tier`` of the body that is sent to the endpoint."""
    target = offer(identity)
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    raw["messages"] = msgspec.Raw(msgspec.json.encode(MESSAGES))
    source = RequestSource(DIALECT, raw, 0, False, parse_generation)
    body = msgspec.json.decode(FORMATS[target.wire_format].encode_source(source, target, "gen-1").request.body)
    assert "speed" not in body
    return body.get("service_tier")


def test_an_endpoint_receives_its_own_tier() -> None:
    assert sent("openai:gpt-5.1@flex", service_tier="flex") == "flex"
    assert sent("openai:gpt-5.1@priority", service_tier="fast") == "priority"
    assert sent("openai:gpt-5.1@priority") == "priority"
    # A provider project may have priority as its default, which a fallback to the default tier must not be charged for.
    assert sent("openai:gpt-5.1", service_tier="priority") == "default"
    assert sent("openai:gpt-5.1", speed="fast") == "default"
    assert sent("openai:gpt-5.1", service_tier="auto") == "auto"
    assert sent("openai:gpt-5.1") is None
    # An endpoint of a provider with a single tier receives no tier.
    assert sent("groq:llama-3.3-70b-versatile", service_tier="flex") is None
    assert sent("anthropic:claude-opus-4-6", service_tier="priority") is None
    assert sent("anthropic:claude-opus-4-6", service_tier="default") == "standard_only"
    assert sent("anthropic:claude-opus-4-6", service_tier="auto") == "auto"


def nano(body: dict[str, Any], identity: str) -> int:
    """Return the cost of ``usage`` at the list price of an endpoint, in nano-USD."""
    price, used = offer(identity).price, body["usage"]
    assert price is not None
    cached = used["prompt_tokens_details"]["cached_tokens"]
    parts = (used["prompt_tokens"] - cached) * price.prompt, cached * (price.cache_read or price.prompt)
    return sum(round(part / 1e6) for part in (*parts, used["completion_tokens"] * price.completion))


def ask_whole(stack: Stack, expected: int = 200, **fields: Any) -> dict[str, Any]:
    with stack.client as client:
        answer = client.post("/api/v1/chat/completions", json={"model": MODEL, "messages": MESSAGES, **fields})
    assert answer.status_code == expected, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("fields", "identity", "tier"),
    [
        ({"service_tier": "priority"}, "openai:gpt-5.1@priority", "priority"),
        ({"speed": "fast"}, "openai:gpt-5.1@priority", "priority"),
        ({"service_tier": "flex"}, "openai:gpt-5.1@flex", "flex"),
        ({"model": f"{MODEL}:floor"}, "openai:gpt-5.1@flex", "flex"),
        ({"provider": {"only": ["openai/flex"]}}, "openai:gpt-5.1@flex", "flex"),
        ({"service_tier": "default"}, "openai:gpt-5.1", "default"),
        ({}, "openai:gpt-5.1", None),
    ],
)
def test_the_tier_is_sent_reported_and_charged(
    stack: Stack, fields: dict[str, Any], identity: str, tier: str | None
) -> None:
    body = ask_whole(stack, **fields)
    assert (dict(stack.lab.calls), body["service_tier"]) == ({identity: 1}, tier)
    assert round(body["usage"]["cost"] * 1e9) == nano(body, identity)
    with stack.client as client:
        generation = client.get("/api/v1/generation", params={"id": body["id"]}).json()["data"]
    assert generation["service_tier"] == tier
    routed = None if tier == "default" else tier
    attempts = [(a["endpoint_id"], a.get("routed_service_tier")) for a in generation["provider_responses"]]
    assert attempts == [(identity, routed)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_of_the_default_tier_is_charged_at_its_price(stack: Stack, stream: bool) -> None:
    stack.lab.modes["openai:gpt-5.1@priority"] = {"mode": "downgrade"}
    client = openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key)
    if stream:
        chunks = [
            chunk.model_dump()
            for chunk in client.chat.completions.create(
                model=MODEL,
                messages=MESSAGES,
                service_tier="priority",
                stream=True,  # type: ignore[arg-type]
            )
        ]
        assert {chunk["service_tier"] for chunk in chunks} == {"default"}
        body = chunks[-1]
    else:
        body = ask_whole(stack, service_tier="priority")
        assert body["service_tier"] == "default"
    assert dict(stack.lab.calls) == {"openai:gpt-5.1@priority": 1}
    assert round(body["usage"]["cost"] * 1e9) == nano(body, "openai:gpt-5.1") < nano(body, "openai:gpt-5.1@priority")


def test_the_chunks_of_a_stream_name_the_tier(stack: Stack) -> None:
    client = openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key)
    stream = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        service_tier="flex",
        stream=True,  # type: ignore[arg-type]
    )
    chunks = [chunk.model_dump() for chunk in stream]
    assert {chunk["service_tier"] for chunk in chunks} == {"flex"}
    assert round(chunks[-1]["usage"]["cost"] * 1e9) == nano(chunks[-1], "openai:gpt-5.1@flex")


def test_priority_falls_back_to_the_default_tier_at_its_price(stack: Stack) -> None:
    stack.lab.modes["openai:gpt-5.1@priority"] = {"mode": "error"}
    body = ask_whole(stack, service_tier="priority")
    assert dict(stack.lab.calls) == {"openai:gpt-5.1@priority": 1, "openai:gpt-5.1": 1}
    assert body["service_tier"] == "default"
    assert round(body["usage"]["cost"] * 1e9) == nano(body, "openai:gpt-5.1")


def test_flex_without_capacity_is_an_error_and_never_a_more_expensive_response(stack: Stack) -> None:
    stack.lab.modes["openai:gpt-5.1@flex"] = {"mode": "rate_limit"}
    body = ask_whole(stack, 429, service_tier="flex")
    assert body["error"]["metadata"]["error_type"] == "rate_limit_exceeded"
    assert dict(stack.lab.calls) == {"openai:gpt-5.1@flex": 1}


def test_flex_has_a_longer_ttft_deadline(tmp_path: Path) -> None:
    fields = {"stream": True, "max_tokens": 2, "model": MODEL, "messages": MESSAGES}
    # The lab's TTFT is some tenths of a second.
    with (
        open_stack(tmp_path, Lab(time_scale=1.0, faults=False), ttft_timeout=0.05) as stack,
        stack.client as client,
    ):
        late = client.post("/api/v1/chat/completions", json=fields)
        assert (late.status_code, late.json()["error"]["metadata"]["error_type"]) == (504, "timeout")
        flex = client.post("/api/v1/chat/completions", json={**fields, "service_tier": "flex"})
        assert flex.status_code == 200
        assert '"service_tier":"flex"' in flex.text and '"error"' not in flex.text


def test_an_unknown_tier_is_rejected_with_the_list_of_tiers(stack: Stack) -> None:
    for wrong in ("express", 7, ["flex"]):
        error = ask_whole(stack, 400, service_tier=wrong)["error"]
        assert error["message"].startswith("service_tier must be")
    assert not stack.lab.calls


def test_tiers_are_listed_and_do_not_change_the_price_of_a_model(stack: Stack) -> None:
    with stack.client as client:
        listed = client.get(f"/api/v1/models/{MODEL}/endpoints").json()["data"]["endpoints"]
        model = client.get(f"/api/v1/model/{MODEL}").json()["data"]
    assert {e["tag"]: e["service_tier"] for e in listed if e["provider_name"] == "OpenAI"} == {
        "openai": None,
        "openai/priority": "priority",
        "openai/flex": "flex",
    }
    by_tag = {e["tag"]: float(e["pricing"]["completion"]) for e in listed}
    assert by_tag["openai/flex"] < by_tag["openai"] < by_tag["openai/priority"]
    assert float(model["pricing"]["completion"]) == by_tag["openai"]


def test_every_tier_of_the_catalogue_has_an_endpoint() -> None:
    offers = [e for found in load_catalogue().endpoints.values() for e in found]
    tiers = [e for e in offers if e.service_tier]
    assert len(tiers) >= 20
    for tier in tiers:
        base = offer(tier.id.removesuffix(f"@{tier.service_tier}"))
        assert (base.service_tier, base.model, base.upstream_model) == (None, tier.model, tier.upstream_model)
        assert tier.enabled and tier.price and base.price
        assert (tier.price.completion > base.price.completion) == (tier.service_tier == "priority")
        assert tier.price_served(tier.service_tier) == base.price_served(tier.service_tier) == tier.price
        assert tier.price_served("default") == base.price
        assert tier.price_served(None) == tier.price
    assert "service_tier" in RECORD_SCHEMA.names
    assert parse_preferences(b'{"only":["openai/flex"]}').only == ("openai/flex",)
