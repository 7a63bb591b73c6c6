"""``make bench``: rates and latencies, as ratios within one run.

The service under test runs on core 0; load and upstream share core 1. Each figure is the median of
interleaved rounds, so that a slow spell of the machine meets all of them.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateway.load import LoadResult, measure
from benchmarks.gateway.wire import request
from benchmarks.tables import write_between
from data.lake import Lake
from router_service.admission.keys import create_key, open_database

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
UPSTREAM, SHORTEST, PORTOLAN = 18901, 18902, 18903
CELLS = [(stream, connections) for stream in (False, True) for connections in (1, 64)]


def pin(core: int) -> Callable[[], None] | None:
    """Return a function that pins a child process to ``core``; None with one core or without such a system call."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        return None
    return lambda: os.sched_setaffinity(0, {core})


def start(stack: ExitStack, core: int, *command: str, **environment: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-m", *command], env=os.environ | environment, preexec_fn=pin(core), stdin=subprocess.DEVNULL
    )
    stack.callback(child.wait)
    stack.callback(child.terminate)
    return child


def wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def services(stack: ExitStack) -> dict[str, tuple[int, str, str]]:
    """Start all; name → port, path, API key."""
    start(stack, 1, "benchmarks.gateway.upstream", str(UPSTREAM))
    server = ["uvicorn", "--port", str(SHORTEST), "--no-access-log", "--log-level", "warning"]
    url = f"http://127.0.0.1:{UPSTREAM}/v1/chat/completions"
    start(stack, 0, *server, "benchmarks.gateway.shortest:app", BENCH_UPSTREAM=url)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portolan-bench-"))
    key = create_key(open_database(Lake(Path(folder)).create().database), "bench")
    lab = f"http://127.0.0.1:{UPSTREAM}"
    start(stack, 0, "portolan", "serve", "--port", str(PORTOLAN), "--data-dir", folder, PORTOLAN_LAB_URL=lab)
    for port in (UPSTREAM, SHORTEST, PORTOLAN):
        wait_for(port)
    return {
        "upstream alone": (UPSTREAM, "/v1/chat/completions", "none"),
        "shortest path": (SHORTEST, "/", "none"),
        "portolan": (PORTOLAN, "/api/v1/chat/completions", key),
    }


def run(rounds: int, seconds: float) -> dict[tuple[str, bool, int], LoadResult]:
    measured: dict[tuple[str, bool, int], list[LoadResult]] = {}
    with ExitStack() as stack:
        targets = services(stack)
        if own := pin(1):
            own()
        for _ in range(rounds):
            for stream, connections in CELLS:
                for name, (port, path, key) in targets.items():
                    result = measure(port, request(path, key, stream=stream), connections, seconds)
                    measured.setdefault((name, stream, connections), []).append(result)
    return {
        cell: LoadResult(*(statistics.median(column) for column in zip(*results, strict=True)))
        for cell, results in measured.items()
    }


def table(results: dict[tuple[str, bool, int], LoadResult]) -> str:
    """Markdown. ``of shortest`` is the ratio of rates; ``added p50`` is against the upstream alone."""
    lines = [
        "| answer | connections | service | requests/s | of shortest | p50 ms | added p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, stream, connections), result in sorted(results.items(), key=lambda i: (i[0][1], i[0][2], -i[1].rate)):
        shortest = results["shortest path", stream, connections]
        alone = results["upstream alone", stream, connections]
        kind = "50 chunks" if stream else "non-streamed"
        ratio, added = result.rate / shortest.rate, result.p50 - alone.p50
        lines.append(
            f"| {kind} | {connections} | {name} | {result.rate:,.0f} | {ratio:.2f} | "
            f"{result.p50:.2f} | {added:.2f} | {result.p99:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each figure of each round")
    parser.add_argument("--write", action="store_true", help="put the table into docs/speed.md")
    options = parser.parse_args()
    found = table(run(options.rounds, options.seconds))
    print(found)
    if options.write:
        write_between(PAGE, "<!-- table", found)
