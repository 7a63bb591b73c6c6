"""Test the next step after a failed attempt, for each class of error, through a real router and lab."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import pytest

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from models.selection.decision.outcome import CLIENT_ERRORS
from router_service.core.errors import ERROR_STATUS
from router_service.core.preferences import parse_preferences
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines, MeasuredDeadlines
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.execution.retries import RULES, RetryAction
from router_service.health import Health
from router_service.planning.make_plan import make_plan
from router_service.providers.failures import retry_after
from router_service.upstream.transport import StaleConnection
from tests.conftest import Stack
from tests.exchanges import exchange_of
from tests.market import PROFILE, endpoint, state
from tests.router_service.execution.test_deadlines import TIMEOUTS, discard
from tests.router_service.execution.test_fallback import CHAT, MODEL, body

SMALL = "meta-llama/llama-3.3-70b-instruct"


def called(stack: Stack) -> list[str]:
    """Return the lab's providers in the order of their first call."""
    return list(dict.fromkeys(name.split(":")[0] for name in stack.lab.calls))


def tried(client: httpx2.Client, answer: httpx2.Response) -> list[str]:
    found = client.get("/api/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    return [response["provider_name"] for response in found["provider_responses"]]


def test_every_error_has_one_rule_and_of_client_errors_one_alone_tries_other_endpoints() -> None:
    assert set(RULES) == set(ERROR_STATUS)
    assert {name for name in CLIENT_ERRORS if RULES[name] is not RetryAction.NEXT_MODEL} == {"context_length_exceeded"}
    assert RULES["context_length_exceeded"] is RetryAction.LARGER_ENDPOINT


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", ["context_length_exceeded", "content_policy_violation"])
def test_a_request_that_the_model_refuses_goes_to_the_next_model_at_once(stack: Stack, code: str, stream: bool) -> None:
    stack.lab.modes["*"] = {"mode": "error", "status": 400, "code": code}
    stack.lab.modes["groq:llama-3.3-70b-versatile"] = {"mode": "ok"}
    request = body(stream, models=[MODEL, SMALL], provider={"order": ["deepinfra", "groq"]})
    with stack.client as client:
        answer = client.post(CHAT, json=request | {"provider": {"order": ["groq", "deepinfra"]}})
        assert answer.status_code == 200
        assert tried(client, answer) == ["Groq", "Groq"]
    assert SMALL in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_too_long_for_one_endpoint_goes_to_a_larger_one_of_the_model(stack: Stack, stream: bool) -> None:
    # Their contexts are 40,000, 37,000 and 110,000 tokens.
    order = ["scaleway", "stackit", "nebius"]
    for name in order[:2]:
        stack.lab.modes[name] = {"mode": "error", "status": 400, "code": "context_length_exceeded"}
    wanted = {"order": order, "allow_fallbacks": False}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, provider=wanted) | {"model": "google/gemma-3-27b-it"})
        assert answer.status_code == 200
        assert tried(client, answer) == ["Scaleway", "Nebius Token Factory"]


def test_a_prompt_too_long_for_every_endpoint_is_refused_with_the_last_sentence(stack: Stack) -> None:
    stack.lab.modes["*"] = {"mode": "error", "status": 400, "code": "context_length_exceeded"}
    wanted = {"only": ["scaleway", "stackit", "nebius"], "order": ["stackit", "nebius", "scaleway"]}
    with stack.client as client:
        answer = client.post(CHAT, json=body(False, provider=wanted) | {"model": "google/gemma-3-27b-it"})
    assert answer.status_code == 400
    assert answer.json()["error"]["metadata"]["error_type"] == "context_length_exceeded"
    assert called(stack) == ["stackit", "nebius"]


def test_in_a_pool_the_other_endpoints_of_the_refusing_model_are_skipped(stack: Stack) -> None:
    stack.lab.modes["*"] = {"mode": "error", "status": 400, "code": "context_length_exceeded"}
    preferences = {"sort": {"by": "price", "partition": "none"}, "only": ["groq", "deepinfra"]}
    with stack.client as client:
        answer = client.post(CHAT, json=body(False, models=[SMALL], provider=preferences))
        assert answer.status_code == 400
        assert answer.json()["error"]["metadata"]["error_type"] == "context_length_exceeded"
    assert sum(stack.lab.calls.values()) == 2


def test_with_one_model_its_refusal_is_returned_after_one_call(stack: Stack) -> None:
    stack.lab.modes["*"] = {"mode": "error", "status": 400, "code": "content_policy_violation"}
    with stack.client as client:
        assert client.post(CHAT, json=body(False)).status_code == 400
    assert sum(stack.lab.calls.values()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_html_page_instead_of_a_response_falls_back(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "html"}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, provider={"order": ["groq", "deepinfra"]}))
    assert answer.status_code == 200
    assert called(stack) == ["groq", "deepinfra"]


@pytest.mark.parametrize("after", [0, 1])
def test_silence_or_a_break_before_the_first_token_moves_on_though_the_role_has_come(stack: Stack, after: int) -> None:
    preferences = {"order": ["groq", "deepinfra"], "ttft_timeout": 2.0}
    for mode in ("stall", "reset"):
        stack.lab.modes["groq"] = {"mode": mode, "after": after}
        with stack.client as client:
            answer = client.post(CHAT, json=body(True, provider=preferences))
        assert '"finish_reason":"error"' not in answer.text
        assert "Deep Infra" in answer.text


async def test_a_stale_connection_is_retried_once_and_counts_against_no_endpoint() -> None:
    health, exchange = Health(), exchange_of()
    deadlines = Deadlines(exchange, TIMEOUTS, MeasuredDeadlines(health))
    attempts = AttemptLoop(exchange, health, deadlines, OutcomeReporter([health]))

    async def stale_twice(endpoint: Endpoint, _attempt: Attempt, _timeout_s: float) -> str:
        if len(exchange.route.attempts) < 3:
            raise StaleConnection
        return endpoint.id

    plan = make_plan(
        "a/b", [endpoint("a"), endpoint("b")], parse_preferences(b'{"order": ["a", "b"]}'), PROFILE, state()
    )
    assert await attempts.run(iter([plan.sample(0.0)]), stale_twice, discard) == "b:b"
    assert [(attempt.provider, attempt.reason) for attempt in exchange.route.attempts] == [
        ("a", "sampled"),
        ("a", "retry:stale_connection"),
        ("b", "fallback:provider_unavailable"),
    ]
    assert sum(health.counts("a:b", "30s")) == 0


def test_retry_after_is_read_as_seconds_or_a_date() -> None:
    now = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    later = format_datetime(now.replace(minute=32), usegmt=True)
    seconds = {"7": 7.0, "0.5": 0.5, "-3": 0.0, later: 120.0, later.replace("GMT", "-0000"): 120.0}
    assert {value: retry_after(value, now.timestamp()) for value in seconds} == seconds
    assert retry_after("Mon, 23 Nov 2020 09:30:00 GMT", now.timestamp()) == 0.0
    for nonsense in (None, "", "soon", "nan", "inf", "1e999", "Mon, 99 Nov 2026 09:30:00 GMT"):
        assert retry_after(nonsense, now.timestamp()) is None
