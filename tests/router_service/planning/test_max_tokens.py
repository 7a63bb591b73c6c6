"""Test what becomes of a request for more tokens than an endpoint can write."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from router_service.api.skins.chat.parse import parse_generation
from router_service.core.preferences import Preferences
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat import DIALECT
from router_service.planning.make_plan import make_plan
from router_service.providers.formats import FORMATS
from tests.market import PROFILE, endpoint, state

SHORT = endpoint("acme", 1, max_completion_tokens=8192)
LONG = endpoint("bolt", 2, max_completion_tokens=64_000)
ASKING = PROFILE._replace(max_tokens=32_000, parameters=("max_tokens",))
MESSAGES = [{"role": "user", "content": "hello"}]


def test_endpoints_that_can_write_it_come_alone() -> None:
    """While some endpoint can write the answer, those that cannot are not asked."""
    plan = make_plan("a/b", [SHORT, LONG], Preferences(), ASKING, state())
    assert plan.endpoints == (LONG,)
    assert [(one.provider, reason) for one, reason in plan.excluded] == [("acme", "max_tokens")]


def test_an_endpoint_that_cannot_write_it_serves_where_none_can() -> None:
    """An agent that asks for too much is answered, unless it requires its parameters."""
    assert make_plan("a/b", [SHORT], Preferences(), ASKING, state()).endpoints == (SHORT,)
    known = msgspec.structs.replace(SHORT, supported_parameters=frozenset({"max_tokens"}))
    strict = make_plan("a/b", [known], Preferences(require_parameters=True), ASKING, state())
    assert strict.endpoints == () and [reason for _, reason in strict.excluded] == ["max_tokens"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(("asked", "sent"), [(32_000, 8192), (8192, 8192), (10, 10)])
def test_the_endpoint_is_asked_for_what_it_has(name: str, asked: int, sent: int) -> None:
    """Every way of encoding sends what the endpoint can write, and reports it."""
    fields = msgspec.json.decode(json.dumps({"messages": MESSAGES, name: asked}), type=dict[str, Raw])
    chat, messages = FORMATS["openai_chat"], FORMATS["anthropic_messages"]
    source = RequestSource(DIALECT, fields, 0, False, parse_generation)
    at: Any = msgspec.structs.replace(SHORT, wire_format="openai_chat")
    claude: Any = msgspec.structs.replace(SHORT, wire_format="anthropic_messages")
    for encoded in (
        chat.encode_source(source, at, "gen-1"),
        chat.encode(source.parsed, at, "gen-1"),
        messages.encode(source.parsed, claude, "gen-1"),
    ):
        assert json.loads(encoded.request.body)["max_tokens"] == sent
        assert encoded.dropped == (("max_tokens",) if asked > sent else ())
