"""Test that several choices are asked for where they can be had, if the client requires its parameters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from router_service.api.parse_head import parse_head
from router_service.core.preferences import Preferences
from router_service.planning.eligibility import profile_of
from router_service.planning.make_plan import make_plan
from tests.market import endpoint, state

SEVERAL = endpoint("acme", 1)
ONE = [
    msgspec.structs.replace(endpoint(name, 1), wire_format=wire_format)
    for name, wire_format in (("bolt", "anthropic_messages"), ("cove", "gemini"), ("dune", "openai_responses"))
]


@pytest.mark.parametrize(("n", "able"), [(2, 1), (1, 4), (None, 4)])
def test_choices_that_are_required(n: int | None, able: int) -> None:
    body: dict[str, Any] = {"model": "a/b", "messages": [{"role": "user", "content": "hello"}], "n": n}
    head = parse_head(json.dumps(body).encode())
    plan = make_plan("a/b", [SEVERAL, *ONE], Preferences(require_parameters=True), profile_of(head, 100, 0), state())
    assert len(plan.endpoints) == able and SEVERAL in plan.endpoints
    assert {reason for _, reason in plan.excluded} == ({"require_parameters"} if able == 1 else set())
    assert len(make_plan("a/b", ONE, Preferences(), profile_of(head, 100, 0), state()).endpoints) == 3
