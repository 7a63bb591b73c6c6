"""Measure the cost of health: µs for each update, memory for 5,000 endpoints. `python -m benchmarks.health`.

The limits are ours: an update takes at most 5 µs, 5,000 endpoints take at most 50 MB.
"""

from __future__ import annotations

import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from data.record.attempt import AttemptEnd, AttemptOutcome
from router_service.affinity.sticky import StickyTable
from router_service.cluster.journal import JournalTransport
from router_service.cluster.sharing import StateSharing
from router_service.health import Health

ENDPOINTS = 5000
UPDATES = 10_000
ROUNDS = 50


def main() -> None:
    """Print the table."""
    names = [f"provider-{n}:author/some-model-{n}" for n in range(ENDPOINTS)]
    memory(names)
    dice = random.Random(1)
    order = [dice.choice(names[:300]) for _ in range(UPDATES)]
    health, limited = Health(), Health()
    measure("success, TTFT and throughput", reporting(health, order, **SPEEDS), order)
    measure("success alone", reporting(health, order), order)
    measure("success with its tokens", reporting(health, order, **TOKENS), order)
    measure("success with tool calls", reporting(health, order, judged_tool_calls=True), order)
    measure("failure", reporting(health, order, "failed", error_type="timeout"), order)
    limit = {"error_type": "rate_limit_exceeded", "retry_after_s": 1.0}
    measure("429", reporting(health, order, "failed", **limit), order)
    measure(
        "call begun and answered", lambda name: health.untrack(health.track(name, stream=True), answered=True), order
    )
    measure("success and a refresh each", reporting(Health(), order, refresh=True, **SPEEDS), order)
    for name in set(order):
        limited.report(outcome(name, "failed", error_type="rate_limit_exceeded"))
    measure("success and a refresh each, all under a cap", reporting(limited, order, refresh=True, **SPEEDS), order)
    exchange(names)


SPEEDS = {"ttft_us": 400_000, "duration_us": 1_000_000, "completion_tokens": 80}
TOKENS = {"prompt_tokens": 1200, "cached_tokens": 800, "completion_tokens": 300}


def outcome(endpoint: str, ended: AttemptEnd = "answered", **more: object) -> AttemptOutcome:
    """Return the outcome of a stream; ``more`` are further fields."""
    return AttemptOutcome(
        endpoint=endpoint,
        provider="p",
        model="m",
        ended=ended,
        stream=True,
        began_s=0.0,
        ended_s=1.0,
        **more,  # type: ignore[arg-type]
    )


def reporting(
    health: Health, order: list[str], ended: AttemptEnd = "answered", *, refresh: bool = False, **more: object
) -> Callable[[str], object]:
    """Return a function that reports an outcome, made beforehand, and with ``refresh`` refreshes as a plan does."""
    outcomes = {name: outcome(name, ended, **more) for name in set(order)}
    if not refresh:
        return lambda name: health.report(outcomes[name])

    def both(name: str) -> None:
        health.report(outcomes[name])
        health.refresh()

    return both


def measure(what: str, update: Callable[[str], object], order: list[str]) -> None:
    """Print the best mean of some rounds, in processor time: the noise of a shared machine only adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for name in order:
            update(name)
        best = min(best, (time.process_time() - begun) / len(order))
    print(f"{what}: {best * 1e6:.2f} µs (limit 5)")


def memory(names: list[str]) -> None:
    """Print the memory of endpoints that have had every kind of outcome."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    health = Health()
    for name in names:
        health.report(outcome(name, **SPEEDS))
        health.report(outcome(name, "failed", error_type="timeout"))
        health.report(outcome(name, "failed", error_type="rate_limit_exceeded", retry_after_s=30.0))
        health.report(outcome(name, judged_tool_calls=True, tool_call_fault="invalid_json", **TOKENS))
    health.refresh()
    used = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    print(f"{len(names)} endpoints: {used:.1f} MB (limit 50)")


def exchange(names: list[str]) -> None:
    """Print the processor time of sending and of merging reports."""
    with tempfile.TemporaryDirectory() as folder:
        known, other = Health(), Health()
        writer, reader = (
            StateSharing(health, StickyTable(health), [JournalTransport(Path(folder))]) for health in (known, other)
        )
        for count in (300, ENDPOINTS):
            for name in names[:count]:
                known.report(outcome(name, **SPEEDS))
            begun = time.process_time()
            writer.synchronise()
            sent = time.process_time()
            reader.synchronise()
            merged = time.process_time()
            print(f"{count} endpoints sent in {(sent - begun) * 1e3:.1f} ms, merged in {(merged - sent) * 1e3:.1f} ms")
        writer.close()
        reader.close()


if __name__ == "__main__":
    main()
