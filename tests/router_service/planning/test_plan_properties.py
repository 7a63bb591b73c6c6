"""Test properties that hold for every market, every request and every state of health."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue.types import DataPolicy, Endpoint, Price
from router_service.core.plan import Plan
from router_service.core.preferences import QUANTIZATION_BITS, SORTS, STRATEGIES, Percentiles, parse_preferences
from router_service.planning.constraints import NO_CONSTRAINTS
from router_service.planning.eligibility import EXCLUDED_BY, RequestProfile, reference_reason
from router_service.planning.make_plan import make_plan
from router_service.planning.market_state import EndpointMeasurement, MarketState
from router_service.planning.nearest_request import nearest_request

# The reference's ``reference_reason``.
CODES = {
    "geo", "data_region", "data_policy:zdr", "data_policy:training", "max_price", "context_length",
    "require_parameters", "quantization", "allowed_providers",
}  # fmt: skip
NAMES = ("acme", "bolt", "core", "dune", "echo", "flux")
TAGS = (*NAMES, "acme/turbo", "bolt/fp8", "core/priority")
PARAMETERS = ("tools", "response_format", "seed", "temperature")
MAYBE = st.sampled_from((None, False, True))
USD = st.sampled_from((0.0, 0.1, 0.5, 1.0, 3.0, 40.0))


@st.composite
def markets(draw: st.DrawFn) -> list[Endpoint]:
    tags = draw(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8))
    return [
        Endpoint(
            id=f"{tag}:{number}",
            tag=tag,
            provider=tag.split("/")[0],
            provider_name=tag.split("/")[0].title(),
            model="a/b",
            upstream_model="b",
            wire_format="openai_chat",
            base_url="http://x",
            key_env=(),
            price=draw(st.none() | st.builds(Price, *[USD.map(lambda usd: round(usd * 1e9))] * 2)),
            context_length=draw(st.sampled_from((0, 64, 8192))),
            max_completion_tokens=draw(st.sampled_from((None, 100, 4096))),
            quantization=draw(st.sampled_from(tuple(QUANTIZATION_BITS))),
            supported_parameters=draw(st.frozensets(st.sampled_from(PARAMETERS))),
            enabled=draw(st.sampled_from((True, True, True, False))),
            region=draw(st.sampled_from((None, "eu", "us"))),
            data_policy=DataPolicy(draw(MAYBE), draw(MAYBE)),
            distillable=draw(st.booleans()),
            moderated=draw(MAYBE),
        )
        for number, tag in enumerate(tags)
    ]


slugs = st.lists(st.sampled_from((*TAGS, "Dune", "nobody")), min_size=1, max_size=3)
cut_offs = st.floats(0.01, 200) | st.fixed_dictionaries({}, optional={p: st.floats(0.01, 200) for p in ("p50", "p99")})
# Each of these preferences can only exclude endpoints.
HARD: dict[str, st.SearchStrategy[Any]] = {
    "only": slugs,
    "ignore": slugs,
    "quantizations": st.lists(st.sampled_from(tuple(QUANTIZATION_BITS)), min_size=1, max_size=3),
    "min_quantization": st.sampled_from(("fp4", "fp8", "bf16")),
    "max_price": st.fixed_dictionaries({}, optional={"prompt": USD, "completion": USD.map(str), "image": USD}),
    "require_parameters": st.just(True),
    "data_collection": st.just("deny"),
    "zdr": st.just(True),
    "enforce_distillable_text": st.just(True),
    "region": st.sampled_from(("eu", "us", "jp")),
    "is_moderated": st.booleans(),
}
SOFT: dict[str, st.SearchStrategy[Any]] = {
    "order": slugs,
    "allow_fallbacks": st.booleans(),
    "sort": st.sampled_from((*SORTS, None)) | st.fixed_dictionaries({"by": st.sampled_from(SORTS)}),
    "preferred_min_throughput": cut_offs,
    "preferred_max_latency": cut_offs,
    "strategy": st.sampled_from(STRATEGIES),
    "something": st.just({"new": [1]}),
}
providers = st.fixed_dictionaries({}, optional=HARD | SOFT)
profiles = st.builds(
    RequestProfile,
    prompt_tokens=st.sampled_from((0, 50, 100, 20_000)),
    max_tokens=st.sampled_from((None, 10, 1000, 100_000)),
    parameters=st.sets(st.sampled_from(PARAMETERS)).map(lambda names: tuple(sorted({*names, "messages"}))),
    stream=st.booleans(),
    tools=st.booleans(),
    hour=st.just(3),
)
counts = st.sampled_from((0, 1, 50, 500, 10**6))
figures = st.none() | st.floats(1e-3, 1e4)


@st.composite
def measures(draw: st.DrawFn) -> EndpointMeasurement:
    requests, tools = draw(counts), draw(counts)
    prompt = requests * draw(st.sampled_from((0, 10, 1000)))
    return EndpointMeasurement(
        Percentiles(draw(figures), p99=draw(figures)),
        Percentiles(draw(figures), p99=draw(figures)),
        requests,
        draw(st.integers(0, requests)),
        draw(counts),
        draw(st.floats(0, 100)),
        tools,
        draw(st.integers(0, tools)),
        prompt,
        draw(st.integers(0, prompt)),
        draw(counts),
    )


class Even:
    """Act as a learned policy without a preference."""

    version = "even"

    def weigh(self, profile: RequestProfile, endpoints: list[Endpoint], views: object, weights: object) -> list[float]:
        return [1 / len(endpoints)] * len(endpoints)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState]:
    market = draw(markets())
    ids = [e.id for e in market]
    state = MarketState(
        "v",
        0,
        draw(st.frozensets(st.sampled_from(ids))),
        draw(st.sampled_from((None, Even()))),
        draw(st.sampled_from((0.0, 0.3, 1.0))),
        draw(st.dictionaries(st.sampled_from(ids), measures())),
        draw(st.sampled_from(STRATEGIES)),
        draw(st.booleans()),
    )
    return market, draw(providers), draw(profiles), state


def planned(market: list[Endpoint], provider: dict[str, Any], profile: RequestProfile, state: MarketState) -> Plan:
    return make_plan("a/b", market, parse_preferences(msgspec.json.encode(provider)), profile, state)


@given(cases())
def test_probabilities_are_a_distribution_over_the_eligible(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState],
) -> None:
    plan = planned(*case)
    eligible, excluded = [e.id for e in plan.endpoints], [e.id for e, _ in plan.excluded]
    assert sorted(eligible + excluded) == sorted(e.id for e in case[0])
    if eligible:
        assert sum(plan.probabilities) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in plan.probabilities)
        assert sum(arm.weight for arm in plan.arms) == pytest.approx(1)


@given(cases(), st.floats(0, 1, exclude_max=True))
def test_a_draw_tries_each_eligible_endpoint_once_and_no_other(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState], draw: float
) -> None:
    """Check also that the first endpoint has a probability above 0: the propensity is the divisor of a weight."""
    plan = planned(*case)
    if plan.endpoints:
        decision = plan.sample(draw)
        order = [e.id for e in decision.order()]
        everyone = sorted(e.id for e in plan.endpoints)
        assert sorted(order) == (everyone if plan.fallbacks else [plan.endpoints[decision.first].id])
        assert plan.probabilities[decision.first] > 0


@given(cases())
def test_an_endpoint_with_an_outage_is_never_drawn_first_while_another_has_none(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState],
) -> None:
    market, provider, profile, state = case
    provider = {k: v for k, v in provider.items() if k != "order"}
    plan = planned(market, provider, profile, state)
    if any(e.id not in state.outages for e in plan.endpoints):
        drawn = [e.id for e, p in zip(plan.endpoints, plan.probabilities, strict=True) if p > 0]
        assert not state.outages.intersection(drawn)


@given(cases())
def test_every_exclusion_has_a_reason_with_a_code_of_the_reference(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState],
) -> None:
    plan = planned(*case)
    assert {reference_reason(reason) for _, reason in plan.excluded} <= CODES
    rows = msgspec.msgpack.decode(plan.candidates)
    assert [row["excluded_by"] for row in rows if row["probability"] == 0 and row["score"] is None] == [
        reason for _, reason in plan.excluded
    ]


def test_every_reason_has_a_code_of_the_reference() -> None:
    assert set(EXCLUDED_BY.values()) <= CODES


@given(cases(), st.sampled_from(sorted(HARD)), st.data())
def test_a_further_hard_filter_never_adds_a_candidate(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState], name: str, data: st.DataObject
) -> None:
    """Ask for nothing that only some endpoints can give: without those endpoints all others become eligible."""
    market, provider, profile, state = case
    profile = profile._replace(parameters=("messages", "seed"), max_tokens=None)
    loose = {k: v for k, v in provider.items() if k != name}
    before = planned(market, loose, profile, state)
    after = planned(market, loose | {name: data.draw(HARD[name])}, profile, state)
    assert {e.id for e in after.endpoints} <= {e.id for e in before.endpoints}


@given(cases())
def test_equal_inputs_give_equal_plans(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState],
) -> None:
    market, provider, profile, state = case
    plan, again = planned(market, provider, profile, state), planned(market[::-1], provider, profile, state)
    assert plan.endpoints == again.endpoints
    assert plan.probabilities == again.probabilities
    assert plan.arms == again.arms


@given(cases())
def test_the_nearest_request_would_have_worked(
    case: tuple[list[Endpoint], dict[str, Any], RequestProfile, MarketState],
) -> None:
    market, provider, profile, state = case
    plan = planned(market, provider, profile, state)
    close = None if plan.endpoints else nearest_request(market, plan.preferences, profile, NO_CONSTRAINTS)
    if close is None:
        return
    for field, value in close.changes:
        if field == "messages":
            profile = profile._replace(prompt_tokens=int(value.split()[2]))
        elif field == "max_tokens":
            profile = profile._replace(max_tokens=value)
        elif not field.startswith("provider."):
            profile = profile._replace(parameters=tuple(name for name in profile.parameters if name != field))
        else:
            provider = _set(provider, field.split(".")[1:], value)
    assert close.endpoint.id in [e.id for e in planned(market, provider, profile, state).endpoints]


def _set(values: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    name, *rest = path
    if rest:
        value = _set(values[name], rest, value)
    return {k: v for k, v in values.items() if k != name} | ({} if value is None else {name: value})
