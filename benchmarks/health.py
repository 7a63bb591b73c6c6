"""What health costs: µs for each update, memory for 5,000 endpoints. `python -m benchmarks.health`.

Limits of the plan: an update at most 5 µs, 5,000 endpoints at most 50 MB.
"""

from __future__ import annotations

import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from router_service.affinity.sticky import StickyTable
from router_service.cluster.journal import JournalTransport
from router_service.cluster.sharing import StateSharing
from router_service.health import Health

ENDPOINTS = 5000
UPDATES = 10_000
ROUNDS = 50


def main() -> None:
    names = [f"provider-{n}:author/some-model-{n}" for n in range(ENDPOINTS)]
    memory(names)
    dice = random.Random(1)
    order = [dice.choice(names[:300]) for _ in range(UPDATES)]
    health = Health()
    tell("success, TTFT and throughput", lambda name: health.success(name, 0.4, 80.0), order)
    tell("success alone", lambda name: health.success(name, None, None), order)
    tell("failure", lambda name: health.failure(name, "timeout"), order)
    tell("429", lambda name: health.failure(name, "rate_limit_exceeded", 1.0), order)
    well = Health()
    tell("tokens of an answer", lambda name: health.used(name, 1200, 800, 300), order)
    tell("tool calls of an answer", lambda name: health.tool_calls(name, False), order)
    tell("success and a refresh each", lambda name: both(well, name), order)
    tell("a call begun and answered", lambda name: called(well, name), order)
    limited = Health()
    for name in set(order):
        limited.failure(name, "rate_limit_exceeded")
    tell("success and a refresh each, all under a cap", lambda name: both(limited, name), order)
    exchange(names)


def both(health: Health, name: str) -> None:
    health.success(name, 0.4, 80.0)
    health.refresh()


def called(health: Health, name: str) -> None:
    health.untrack(health.track(name, stream=True), answered=True)


def tell(what: str, update: Callable[[str], None], order: list[str]) -> None:
    """Best mean of some rounds, in processor time: the noise of a shared machine only adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for name in order:
            update(name)
        best = min(best, (time.process_time() - begun) / len(order))
    print(f"{what}: {best * 1e6:.2f} µs (limit 5)")


def memory(names: list[str]) -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    health = Health()
    for name in names:
        health.success(name, 0.4, 80.0)
        health.failure(name, "timeout")
        health.failure(name, "rate_limit_exceeded", 30.0)
        health.used(name, 1200, 800, 300)
        health.tool_calls(name, True)
    health.refresh()
    used = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    print(f"{len(names)} endpoints: {used:.1f} MB (limit 50)")


def exchange(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        known, other = Health(), Health()
        writer, reader = (
            StateSharing(health, StickyTable(health), [JournalTransport(Path(folder))]) for health in (known, other)
        )
        for count in (300, ENDPOINTS):
            for name in names[:count]:
                known.success(name, 0.4, 80.0)
            begun = time.process_time()
            writer.synchronise()
            told = time.process_time()
            reader.synchronise()
            heard = time.process_time()
            print(f"{count} endpoints told in {(told - begun) * 1e3:.1f} ms, heard in {(heard - told) * 1e3:.1f} ms")
        writer.close()
        reader.close()


if __name__ == "__main__":
    main()
