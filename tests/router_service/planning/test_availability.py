"""Test the error of a request that no endpoint may serve: the filter of each endpoint and the nearest request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from data.catalogue.types import DataPolicy
from router_service.core.errors import ApiError
from router_service.core.preferences import MaxPrice, Preferences, parse_preferences
from router_service.planning.availability import exhausted_availability, no_eligible_endpoints
from router_service.planning.constraints import Constraint, ConstraintSet
from router_service.planning.make_plan import make_plan
from tests.conftest import Stack
from tests.market import PROFILE, endpoint, state

CHAT = "/api/v1/chat/completions"
MARKET = [
    endpoint("acme", 2, quantization="fp8", data_policy=DataPolicy(False, True), max_completion_tokens=100),
    endpoint("bolt", 1, quantization="int4", region="eu"),
]


def refused(*listed: Constraint, **provider: Any) -> ApiError:
    constraints = ConstraintSet(*listed)
    preferences = constraints.apply(parse_preferences(msgspec.json.encode(provider)))
    plan = make_plan("a/b", MARKET, preferences, PROFILE, state())
    assert not plan.endpoints
    return no_eligible_endpoints(plan, PROFILE, constraints, ["a/b"])


@pytest.mark.parametrize(
    ("provider", "status", "code", "excluded_by", "changes"),
    [
        (
            {"max_price": {"prompt": 0.5}},
            404,
            "constraint_filtered",
            ["max_price"],
            [{"field": "provider.max_price.prompt", "value": 1.0}],
        ),
        (
            {"quantizations": ["bf16"]},
            404,
            "constraint_filtered",
            ["quantization"],
            [{"field": "provider.quantizations", "value": ["bf16", "int4"]}],
        ),
        ({"zdr": True}, 404, "privacy_restricted", ["data_policy:zdr"], [{"field": "provider.zdr", "value": None}]),
        (
            {"region": "jp"},
            403,
            "region_restricted",
            ["data_region"],
            [{"field": "provider.region", "value": "eu"}],
        ),
        (
            {"only": ["core"]},
            404,
            "constraint_filtered",
            ["allowed_providers"],
            [{"field": "provider.only", "value": ["core", "bolt"]}],
        ),
        (
            {"data_collection": "deny", "ignore": ["acme"]},
            404,
            "constraint_filtered",
            ["allowed_providers", "data_policy:training"],
            [{"field": "provider.ignore", "value": None}],
        ),
    ],
)
def test_the_error_has_the_code_the_filters_and_the_nearest_request(
    provider: dict[str, Any], status: int, code: str, excluded_by: list[str], changes: list[dict[str, Any]]
) -> None:
    error = refused(**provider)
    found = error.availability
    assert found is not None
    assert (error.code, found["code"], found["retryable"]) == (status, code, False)
    assert sorted(found["excluded_by"]) == excluded_by
    assert found["nearest"]["changes"] == [{"field": c["field"], "value": c["value"]} for c in changes]
    assert found["constraint"]["field"] == changes[0]["field"]
    assert {row["endpoint"] for row in found["excluded"]} == {"acme:b", "bolt:b"}


@pytest.mark.parametrize("source", ["This installation", "This key", "The host eu.local"])
def test_a_constraint_is_never_loosened_by_the_advice(source: str) -> None:
    """Expect the rule that no endpoint meets to be named, since no request would have worked."""
    error = refused(Constraint(source, Preferences(zdr=True)), data_collection="deny")
    assert error.availability is not None
    assert "nearest" not in error.availability
    assert f"{source} requires zdr for every request" in error.message


def test_contradicting_regions_exclude_all_endpoints_and_the_advice_respects_the_key() -> None:
    key = Constraint("This key", Preferences(region="eu", max_price=MaxPrice(prompt=1)))
    error = refused(key, region="us")
    assert error.availability is not None
    assert (error.code, error.availability["code"]) == (403, "region_restricted")
    assert error.availability["nearest"]["changes"] == [{"field": "provider.region", "value": "eu"}]
    nobody = refused(Constraint("This key", Preferences(region=("us", "fr"))))
    assert nobody.code == 403
    assert nobody.message.endswith("This key requires region=us or fr for every request.")


def test_messages_keep_the_wording_that_clients_match_on() -> None:
    assert refused(only=["azure"]).message.startswith(
        "No allowed providers are available for the selected model. Providers serving a/b: acme, bolt, "
        "but your request's provider.only preference permits only: azure."
    )
    assert refused(zdr=True).message.startswith("No endpoints found matching your data policy")


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("rate_limit_exceeded", "capacity_exhausted", True),
        ("provider_unavailable", "temporarily_unavailable", True),
        ("timeout", "temporarily_unavailable", True),
        ("not_found", "model_unavailable_upstream", False),
    ],
)
def test_the_error_after_all_attempts_failed_has_an_availability_code(kind: str, code: str, retryable: bool) -> None:
    found = exhausted_availability(ApiError(kind, "x", retry_after=3), ["a/b"], ["groq", "groq"])
    assert found is not None
    assert (found["code"], found["retryable"], found["affected_providers"]) == (code, retryable, ["groq"])
    assert found.get("retry_after") == (3 if retryable else None)
    assert exhausted_availability(ApiError("invalid_request", "x"), [], []) is None


def test_the_router_responds_with_availability(stack: Stack) -> None:
    body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "x"}]}
    with stack.client as client:
        away = client.post(CHAT, json=body | {"provider": {"region": "mars"}})
        stack.lab.modes["groq"] = {"mode": "rate_limit"}
        busy = client.post(CHAT, json=body | {"provider": {"only": ["groq"]}})
        zero = client.post(CHAT, json=body | {"provider": {"zdr": True, "strategy": "adjusted"}})
    assert (away.status_code, away.json()["error"]["availability"]["code"]) == (403, "region_restricted")
    assert (busy.status_code, busy.json()["error"]["availability"]["code"]) == (429, "capacity_exhausted")
    assert zero.json()["provider"] in ("Fireworks AI", "Deep Infra")
