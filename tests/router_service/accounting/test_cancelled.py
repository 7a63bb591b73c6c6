"""Test that a response whose client leaves is billed by what its provider does then, and that the record says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.catalogue import load_catalogue
from data.catalogue.provider_facts import cancellation_of
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.running import until

MESSAGES = [{"role": "user", "content": "How does a pilot read the tide tables? " * 8}]
# A model at a provider of each kind, the limit of the request and the tokens that are billed at least.
STOPS, BILLS, UNKNOWN = (
    ("openai/gpt-4.1", "openai"),
    ("google/gemini-2.5-pro", "google-ai-studio"),
    ("z-ai/glm-4.6", "z-ai"),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router whose providers stop in the middle of their streams."""
    with open_stack(tmp_path_factory.mktemp("cancelled"), ttft_timeout=60.0, keepalive_interval=0.05) as opened:
        yield opened


def left(stack: Stack, model: str, provider: str, fault: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the record of a stream that its client leaves once the provider writes no more."""
    body = {"model": model, "messages": MESSAGES, "stream": True, "provider": {"only": [provider]}} | more
    stack.lab.modes["*"] = fault
    with stack.client as client, client.stream("POST", "/api/v1/chat/completions", json=body) as answer:
        name = answer.headers["x-generation-id"]
        for line in answer.iter_lines():
            # The comments that keep the connection come where the provider is silent.
            if line.startswith(":") and (fault["mode"] == "hang" or not line.startswith("data")):
                break
    until(lambda: find_on_disk(stack.lake, name), "the record is written", 60)
    row = find_on_disk(stack.lake, name)
    assert row is not None and row["cancelled"]
    with stack.client as client:
        told = client.get("/api/v1/generation", params={"id": name}).json()["data"]
    assert told["cancellation"] == {
        "policy": row["cancellation_policy"],
        "received_tokens": row["received_tokens"],
        "cost_estimated": row["cost_estimated"],
    }
    assert told["total_cost"] == row["cost_nano"] / 1e9
    assert sum(one["nano"] for one in row["charges"] or ()) == row["cost_nano"]
    return row


@pytest.mark.parametrize("skin_dialect", [{}, {"reasoning": {"enabled": False}}], ids=["plain", "translated"])
def test_a_provider_that_stops_is_paid_for_what_came(stack: Stack, skin_dialect: dict[str, Any]) -> None:
    """The prompt is estimated by its size, since OpenAI counts at the end of a stream alone."""
    row = left(stack, *STOPS, {"mode": "stall", "after": 6}, **skin_dialect)
    assert (row["cancellation_policy"], row["cost_estimated"]) == ("stops", True)
    assert 0 < row["received_tokens"] == row["completion_tokens"] < 100
    assert row["prompt_tokens"] >= len(MESSAGES[0]["content"]) // 4
    assert {one["meter"] for one in row["charges"]} == {"prompt", "completion"}


def test_a_provider_that_goes_on_is_paid_to_the_end(stack: Stack) -> None:
    """Its response is estimated to be as long as responses are, and never longer than the request allows."""
    row = left(stack, *BILLS, {"mode": "stall", "after": 4})
    assert (row["cancellation_policy"], row["cost_estimated"]) == ("bills_to_end", True)
    assert row["received_tokens"] < row["completion_tokens"] == 500
    limited = left(stack, *BILLS, {"mode": "stall", "after": 4}, max_tokens=200)
    assert limited["completion_tokens"] == max(200, limited["received_tokens"])


def test_what_is_not_documented_stays_unknown(stack: Stack) -> None:
    """It is billed for what came."""
    row = left(stack, *UNKNOWN, {"mode": "stall", "after": 6})
    assert row["cancellation_policy"] == "unknown"
    assert 0 < row["received_tokens"] == row["completion_tokens"]


@pytest.mark.parametrize(
    ("model", "policy", "completion"),
    [(STOPS, "stops", None), (BILLS, "bills_to_end", 500), (UNKNOWN, "unknown", None)],
)
def test_a_call_that_no_token_came_of(
    stack: Stack, model: tuple[str, str], policy: str, completion: int | None
) -> None:
    """One that stops has done nothing that is known."""
    row = left(stack, *model, {"mode": "hang"})
    assert (row["cancellation_policy"], row["received_tokens"]) == (policy, 0)
    assert (row["completion_tokens"], row["cost_estimated"]) == (completion, completion is not None)
    assert (row["cost_nano"] > 0) is (completion is not None)


def test_a_request_without_a_stream_is_worked_on_to_its_end(stack: Stack) -> None:
    """Providers that stop do so within a stream alone."""
    stack.lab.modes["*"] = {"mode": "hang"}
    before = sum(stack.lab.calls.values())
    body = {"model": STOPS[0], "messages": MESSAGES, "provider": {"only": [STOPS[1]]}, "user": "leaves-at-once"}
    connection = stack.send(body)
    until(lambda: sum(stack.lab.calls.values()) > before, "the provider is called")
    connection.close()

    def row() -> dict[str, Any] | None:
        return next((one for one in cancelled_rows(stack) if not one["stream"]), None)

    until(row, "the record is written")
    found = row()
    assert found is not None
    assert (found["cancellation_policy"], found["completion_tokens"], found["status"]) == ("bills_to_end", 500, 499)


def cancelled_rows(stack: Stack) -> list[dict[str, Any]]:
    """Return the records of requests whose client has left."""
    from data.record.encoding import record_row
    from router_service.telemetry.frames import read_frames

    payloads = [frame for path in stack.lake.log.glob("*.open") for frame in read_frames(path.read_bytes()).payloads]
    return [row for row in map(record_row, payloads) if row["ended_by_client"]]


def test_the_fact_names_its_source_and_its_date() -> None:
    """Endpoints have that of their provider; a provider that nothing documents has none."""
    for slug, policy in (("openai", "stops"), ("azure", "stops"), ("groq", "bills_to_end")):
        fact = cancellation_of(slug)
        assert fact is not None and fact.policy == policy
        assert fact.source.startswith("https://") and fact.read.year >= 2026
    assert cancellation_of("zai") is None
    catalogue = load_catalogue()
    for offers in catalogue.endpoints.values():
        for endpoint in offers:
            known = catalogue.providers[endpoint.provider].cancellation
            assert endpoint.cancellation == (known.policy if known else None)


def test_an_own_server_may_state_it(tmp_path: Path) -> None:
    """A server of the operator's own is unknown unless the file says it."""
    from tests.router_service.configuration.test_market import market_of, sold

    text = '[providers.mine]\nbase_url = "http://gpu/v1"\n[[endpoints]]\nprovider = "mine"\nmodel = "z-ai/glm-4.6"\n'
    text += 'upstream_model = "glm"\n'
    for more, wanted in (("", None), ('[providers.groq]\non_disconnect = "stops"\n', "stops")):
        market = market_of(tmp_path, more + text)
        assert {e.cancellation for e in sold(market, "mine")} == {None}
        groq = [e for offers in market.catalogue.endpoints.values() for e in offers if e.provider == "groq"]
        assert {e.cancellation for e in groq} == {wanted or "bills_to_end"}
