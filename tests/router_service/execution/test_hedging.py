"""Test hedged requests: faster for the client, at the operator's cost alone, within the budget."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from data.record.attempt import CLIENT_DEADLINE, LOST
from models.selection.dataset.logged_decisions import decision_of
from models.selection.decision.priors import TYPICAL_OUTPUT_TOKENS
from models.selection.decision.utility import USD_PER_SECOND
from router_service.execution.hedging import Hedging, expected_tokens
from router_service.execution.race import Race
from router_service.health import Health
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.exchanges import parsed_exchange
from tests.router_service.execution.test_fallback import CHAT, body
from tests.running import until

MEASURED = 20
BOTH = {"order": ["groq", "deepinfra"], "ttft_timeout": 60}


@pytest.fixture
def hedged(tmp_path: Path) -> Iterator[Stack]:
    """Every request may have a second call, until the budget is spent."""
    with open_stack(tmp_path, hedge_share=0.05, ttft_timeout=60.0) as opened:
        yield opened


def measure(stack: Stack, client: httpx2.Client, stream: bool, *providers: str) -> None:
    for provider in providers or ("deepinfra",):
        for _ in range(MEASURED):
            assert client.post(CHAT, json=body(stream, provider={"only": [provider]})).status_code == 200
    stack.lab.calls.clear()
    stack.lab.completed.clear()


def record(stack: Stack, answer: httpx2.Response) -> dict[str, Any]:
    generation = answer.headers["x-generation-id"]
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    row = find_on_disk(stack.lake, generation)
    assert row is not None
    return row


def tried(row: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(attempt["provider"], attempt["reason"], attempt["error_type"]) for attempt in row["attempts"]]


def cancelled(stack: Stack) -> list[str]:
    return [name.split(":")[0] for name, count in stack.lab.cancelled.items() for _ in range(count)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_hedged_request_serves_and_the_first_call_is_cancelled(hedged: Stack, stream: bool) -> None:
    with hedged.client as client:
        measure(hedged, client, stream)
        hedged.lab.modes["groq"] = {"mode": "hang"}
        answer = client.post(CHAT, json=body(stream, user="one", provider=BOTH), timeout=120)
        until(lambda: cancelled(hedged) == ["groq"], "the loser's connection is closed")
        metrics = client.get("/metrics").text
    row = record(hedged, answer)
    assert tried(row) == [("groq", "sampled", "cancelled"), ("deepinfra", "hedge:slow_first_token", None)]
    assert (row["provider"], row["status"], row["error_type"]) == ("deepinfra", 200, None)
    assert hedged.lab.completed == {"one": 1}
    assert row["attempts"][0]["ttft_us"] is None
    lost, won = row["attempts"]
    assert lost["started_us"] + lost["duration_us"] >= won["started_us"]
    assert row["overhead_us"] < row["duration_us"]
    assert "hedges_sent_total 1.0" in metrics
    assert "hedges_won_total 1.0" in metrics


def test_the_cost_of_the_loser_is_the_cost_of_the_operator(hedged: Stack) -> None:
    """Use Groq, which continues after a disconnect, and Deep Infra, which stops and has only read the prompt."""
    with hedged.client as client:
        measure(hedged, client, True, "deepinfra", "groq")
        for first, second in (("groq", "deepinfra"), ("deepinfra", "groq")):
            hedged.lab.modes = {first: {"mode": "stall", "after": 0}}
            asked = body(True, provider=BOTH | {"order": [first, second]})
            row = record(hedged, client.post(CHAT, json=asked, timeout=120))
            offers = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
            price = {offer["tag"]: offer["pricing"] for offer in offers}[first]
            expected = float(price["prompt"]) * row["prompt_tokens"]
            if first == "groq":
                expected += float(price["completion"]) * row["completion_tokens"]
            assert row["provider"] == second
            assert row["hedge_cost_nano"] == pytest.approx(expected * 1e9, abs=2)
            own = {offer["tag"]: offer["pricing"] for offer in offers}[second]
            due = float(own["prompt"]) * row["prompt_tokens"] + float(own["completion"]) * row["completion_tokens"]
            assert row["cost_nano"] == pytest.approx(due * 1e9, abs=2)


def test_a_cancelled_loser_without_output_costs_nothing_and_a_single_call_has_no_hedge_cost(hedged: Stack) -> None:
    with hedged.client as client:
        measure(hedged, client, True, "deepinfra", "groq")
        # By chance a call is late, and another is sent.
        rows = (record(hedged, client.post(CHAT, json=body(True, provider=BOTH))) for _ in range(100))
        alone = next(row for row in rows if len(row["attempts"]) == 1)
        hedged.lab.modes["deepinfra"] = {"mode": "hang"}
        asked = body(True, provider=BOTH | {"order": ["deepinfra", "groq"]})
        row = record(hedged, client.post(CHAT, json=asked, timeout=120))
    assert (alone["hedge_cost_nano"], row["hedge_cost_nano"]) == (None, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_the_hedged_request_continues_after_the_first_call_failed(hedged: Stack, stream: bool) -> None:
    with hedged.client as client:
        measure(hedged, client, stream)
        hedged.lab.modes["groq"] = {"mode": "hang"}
        # The hedged request takes so long that the first call reaches its deadline.
        hedged.lab.modes["deepinfra"] = {"mode": "slow", "factor": 1.0}
        hedged.lab.time_scale = 8.0
        preferences = BOTH | {"ttft_timeout": 2.0, "only": ["groq", "deepinfra"]}
        answer = client.post(CHAT, json=body(stream, provider=preferences, max_tokens=1), timeout=120)
    row = record(hedged, answer)
    assert tried(row)[0] == ("groq", "sampled", CLIENT_DEADLINE)
    assert row["attempts"][1]["reason"] == "hedge:slow_first_token"
    assert row["hedge_cost_nano"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_when_both_fail_the_next_endpoint_serves(hedged: Stack, stream: bool) -> None:
    order = ["groq", "deepinfra", "novita-ai"]
    with hedged.client as client:
        measure(hedged, client, stream)
        hedged.lab.modes["groq"] = {"mode": "hang"}
        hedged.lab.modes["deepinfra"] = {"mode": "error"}
        row = record(hedged, client.post(CHAT, json=body(stream, provider={"order": order, "ttft_timeout": 2.0})))
    assert tried(row) == [
        ("groq", "sampled", CLIENT_DEADLINE),
        ("deepinfra", "hedge:slow_first_token", "provider_overloaded"),
        ("novita-ai", f"fallback:{CLIENT_DEADLINE}", None),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_disconnect_cancels_both_calls(hedged: Stack, stream: bool) -> None:
    with hedged.client as client:
        measure(hedged, client, stream)
        hedged.lab.modes["*"] = {"mode": "hang"}
        with hedged.send(body(stream, provider=BOTH | {"ttft_timeout": 300})):
            until(lambda: len(hedged.lab.calls) == 2, "both are called")
        until(lambda: sorted(cancelled(hedged)) == ["deepinfra", "groq"], "both calls are closed")


def test_requests_that_exclude_hedging_are_never_hedged(hedged: Stack) -> None:
    with hedged.client as client:
        measure(hedged, client, True)
        hedged.lab.modes["groq"] = {"mode": "hang"}
        preferences = [
            BOTH | {"hedge": False},
            BOTH | {"order": ["groq"], "allow_fallbacks": False},
            BOTH | {"only": ["groq"]},
        ]
        asked = [body(True, provider=provider | {"ttft_timeout": 2.0}) for provider in preferences]
        with ThreadPoolExecutor(len(asked)) as pool:
            answers = list(pool.map(lambda sent: client.post(CHAT, json=sent), asked))
        for answer in answers:
            row = record(hedged, answer)
            assert "hedge:slow_first_token" not in [reason for _, reason, _ in tried(row)]
        assert client.post(CHAT, json=body(False, provider={"hedge": "no"})).status_code == 400


def test_a_pinned_conversation_is_not_hedged(hedged: Stack) -> None:
    """Signed reasoning and tool results must return to the provider that they came from, so only that one is called."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    pending = [
        {"role": "user", "content": "what is the weather like?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
    ]
    preferences = {"only": ["groq", "deepinfra"], "ttft_timeout": 2.0}
    with hedged.client as client:
        measure(hedged, client, True, "groq", "deepinfra")
        asked = body(True, session_id="s", reasoning_effort="low")
        assert client.post(CHAT, json=asked | {"provider": {"only": ["groq"]}}).status_code == 200
        hedged.lab.modes["groq"] = {"mode": "hang"}
        row = record(hedged, client.post(CHAT, json=asked | {"messages": pending, "provider": preferences}))
    assert row["policy"] == "sticky"
    assert tried(row) == [("groq", "sampled", CLIENT_DEADLINE), ("deepinfra", f"fallback:{CLIENT_DEADLINE}", None)]


def test_a_rate_limited_alternative_gets_no_hedged_request(hedged: Stack) -> None:
    with hedged.client as client:
        measure(hedged, client, True)
        hedged.lab.modes["deepinfra"] = {"mode": "rate_limit", "retry_after": "60"}
        assert client.post(CHAT, json=body(True, provider={"only": ["deepinfra"]})).status_code == 429
        hedged.lab.modes = {"groq": {"mode": "hang"}}
        row = record(hedged, client.post(CHAT, json=body(True, provider=BOTH | {"ttft_timeout": 2.0})))
    assert tried(row)[0][2] == CLIENT_DEADLINE
    assert "hedge:slow_first_token" not in [reason for _, reason, _ in tried(row)]


def metric(client: httpx2.Client, name: str) -> float:
    found = next(line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name}_total"))
    return float(found.split()[1])


def test_hedged_requests_take_no_more_tokens_than_the_budget(tmp_path: Path) -> None:
    share, burst, slow, limit = 0.05, 250, 200, 1
    asked = body(True, provider=BOTH, max_tokens=limit)
    tokens = len(httpx2.Request("POST", "http://x", json=asked).content) // 4 + limit
    with open_stack(tmp_path, hedge_share=share, hedge_burst_tokens=burst, ttft_timeout=60.0) as stack:
        with stack.client as client:
            measure(stack, client, True)
            # The provider is slow, but meets its deadline.
            stack.lab.modes["groq"] = {"mode": "slow", "factor": 20}
            stack.lab.time_scale = 0.02

            def ask(_number: int) -> int:
                return client.post(CHAT, json=asked, timeout=120).status_code

            with ThreadPoolExecutor(20) as pool:
                assert set(pool.map(ask, range(slow))) == {200}
            sent, taken = metric(client, "hedges_sent"), metric(client, "hedged_tokens")
    assert taken == sent * tokens
    assert 0 < taken <= burst + share * slow * tokens


@pytest.mark.parametrize(("limits", "sent"), [((None, None), 1), ((1, None), 1), ((1, 1), 2), ((4096, 1), 1)])
def test_a_hedged_request_takes_its_expected_tokens_from_the_budget(
    tmp_path: Path, limits: tuple[int | None, ...], sent: int
) -> None:
    """The budget has room for one typical answer, or two short ones; a limit beyond it makes no answer longer."""
    with open_stack(tmp_path, hedge_share=1e-9, hedge_burst_tokens=560, ttft_timeout=60.0) as stack:
        with stack.client as client:
            measure(stack, client, True)
            stack.lab.modes["groq"] = {"mode": "hang"}
            for number, limit in enumerate(limits):
                asked = body(True, user=str(number), provider=BOTH | {"ttft_timeout": 2.0})
                asked |= {"max_tokens": limit} if limit else {}
                assert client.post(CHAT, json=asked).status_code == 200
            assert metric(client, "hedges_sent") == sent
            assert metric(client, "hedges_refused") == len(limits) - sent


def hedging(share: float, burst: float) -> Hedging:
    return Hedging(share, Health(), burst=burst)


def test_a_request_larger_than_the_burst_needs_a_full_budget_and_leaves_a_debt() -> None:
    long, short = (
        parsed_exchange(raw)
        for raw in (b'{"model": "a", "max_tokens": 10, "messages": ["%s"]}' % (b"x" * n) for n in (40_000, 4))
    )
    budget = hedging(0.1, 1000)
    assert budget.has_budget(long)
    budget.spend(long)
    earned = 0
    while not budget.has_budget(short):
        budget.refill(short)
        earned += 1
    assert earned == pytest.approx((expected_tokens(long) - 1000) / (0.1 * expected_tokens(short)) + 10, abs=1)
    assert not budget.has_budget(long)


def test_media_do_not_count_as_prompt_tokens() -> None:
    raw = b'{"model": "a", "messages": [{"content": [{"type": "image_url", "image_url": "%s"}]}]}' % (b"x" * 40_000)
    assert expected_tokens(parsed_exchange(raw)) == TYPICAL_OUTPUT_TOKENS


def test_the_explanation_mentions_both_calls(hedged: Stack) -> None:
    with hedged.client as client:
        measure(hedged, client, True)
        hedged.lab.modes["groq"] = {"mode": "hang"}
        client.headers["x-openrouter-metadata"] = "enabled"
        answer = client.post(CHAT, json=body(True, provider=BOTH), timeout=120)
        generation = answer.headers["x-generation-id"]
        told = client.get("/api/v1/generation/explain", params={"id": generation}).json()["data"]
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert [a["status"] for a in chunks[-1]["openrouter_metadata"]["attempts"]] == [499, 200]
    assert "Deep Infra was asked as well" in told["summary"]
    assert "was cut" in told["summary"]
    assert told["hedge_cost"] > 0
    assert "the client pays for one" in told["summary"]
    assert told["replay"]["agrees"] is True


class Calls:
    """Make calls that yield to the event loop a given number of times and then succeed or fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.discarded: list[str] = []

    async def make(self, name: str, turns: int, *, good: bool) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        if not good:
            raise ValueError(name)
        self.made.append(name)
        return name

    def race(self, turns: int, *, good: bool) -> Race[str]:
        return Race(lambda: self.make("second", turns, good=good), self.discarded.append, lambda _error: None)


def test_training_counts_a_cancelled_call_as_latency_and_not_as_a_failure() -> None:
    attempt = {"endpoint": "a:b", "error_type": LOST, "ttft_us": None, "duration_us": 2_000_000}
    candidates = [{"endpoint": name, "probability": 0.5, "score": 1.0, "excluded_by": None} for name in ("a:b", "b:b")]
    row = {"candidates": candidates, "attempts": [attempt | {"started_us": 0}], "cost_nano": 0, "model": "a/b"}
    told = {"started_at": datetime(2026, 11, 23, tzinfo=UTC), "stream": True, "cancelled": False}
    decision = decision_of(row | told)
    assert decision is not None
    assert decision.reward == pytest.approx(-2 * USD_PER_SECOND)


async def none_left() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("first_good", [True, False])
@pytest.mark.parametrize("second_good", [True, False])
async def test_each_response_of_two_calls_is_used_or_discarded_exactly_once(
    first_good: bool, second_good: bool
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    for first in range(12):
        for second in range(12):
            calls = Calls()
            race = calls.race(second, good=second_good)
            racing = race.run(calls.make("first", first, good=first_good), 0)
            (outcome,) = await asyncio.gather(racing, return_exceptions=True)
            await none_left()
            taken = [outcome] if isinstance(outcome, str) else []
            assert sorted(calls.made) == sorted([*taken, *calls.discarded]), (first, second)
            assert bool(taken) == bool(calls.made), (first, second)
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("first_good", [True, False])
async def test_cancelling_a_race_leaves_no_task_and_no_response(first_good: bool) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    for leaves in range(1, 15):
        for second in (0, 2, 5, 9):
            calls = Calls()
            racing = calls.race(second, good=True).run(calls.make("first", 6, good=first_good), 0)
            task = asyncio.create_task(racing)
            for _ in range(leaves):
                await asyncio.sleep(0)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            await none_left()
            taken = [outcome] if isinstance(outcome, str) else []
            assert sorted(calls.made) == sorted([*taken, *calls.discarded]), (leaves, second)
    gc.collect()
    assert complaints == []
