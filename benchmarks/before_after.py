"""Compare the request rate of the whole service with that of another revision, in one run.

``python -m benchmarks.before_after REVISION [--rounds N] [--seconds S] [--write]``. Both serve at once on core 0, one
of them under load at a time, in turn; load and an instant upstream share core 1. The other revision runs from a
temporary git worktree with this environment's libraries; each process is asked whose code it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.gateway.__main__ import CELLS, pin, start, wait_for
from benchmarks.gateway.load import measure
from benchmarks.gateway.wire import request
from benchmarks.tables import write_between

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "speed.md"
UPSTREAM, PORTS = 18911, {"before": 18912, "after": 18913}
REPLICATES = 5000
Rates = dict[tuple[bool, int], list[tuple[float, float]]]


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A temporary worktree of ``revision``. Raises ``SystemExit`` where there is no such revision."""
    with tempfile.TemporaryDirectory(prefix="portolan-before-") as folder:
        tree = Path(folder) / "tree"
        made = git("worktree", "add", "--detach", str(tree), revision)
        if made.returncode:
            raise SystemExit(f"no worktree of {revision}: {made.stderr.strip()}")
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)


def in_tree(tree: Path, *arguments: str) -> str:
    """Return the output of a module of ``tree``, whose code takes precedence over installed packages."""
    command = [sys.executable, *arguments]
    return subprocess.check_output(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, text=True).strip()


def serve(stack: ExitStack, tree: Path, port: int) -> str:
    """Start the router of ``tree``; returns a key for it. Raises ``SystemExit`` when it runs other code."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portolan-bench-"))
    key = in_tree(tree, "-m", "portolan", "keys", "create", "--name", "bench", "--data-dir", folder).splitlines()[-1]
    variables = {"PYTHONPATH": str(tree), "PORTOLAN_LAB_URL": f"http://127.0.0.1:{UPSTREAM}"}
    command = [sys.executable, "-c", SERVE, str(tree), "serve", "--port", str(port), "--data-dir", folder]
    child = subprocess.Popen(command, cwd=tree, env=os.environ | variables, preexec_fn=pin(0), stdin=subprocess.DEVNULL)
    stack.callback(child.wait)
    stack.callback(child.terminate)
    wait_for(port)
    return key


# The serving process itself refuses to run when what it has imported is another tree's.
SERVE = """
import sys
from pathlib import Path
import portolan.cli, router_service.app
tree = Path(sys.argv.pop(1)).resolve()
for module in (portolan.cli, router_service.app):
    if not Path(module.__file__).resolve().is_relative_to(tree):
        raise SystemExit(f"{module.__file__} is not of {tree}")
print(f"serving {router_service.app.__file__}", file=sys.stderr)
portolan.cli.main()
"""


def run(revision: str, rounds: int, seconds: float) -> Rates:
    """Return the request rates (before, after) of each round, by kind of response and number of connections."""
    rates: Rates = {}
    with ExitStack() as stack:
        trees = {"before": stack.enter_context(checkout(revision)), "after": ROOT}
        start(stack, 1, "benchmarks.gateway.upstream", str(UPSTREAM))
        wait_for(UPSTREAM)
        keys = {name: serve(stack, trees[name], PORTS[name]) for name in PORTS}
        if own := pin(1):
            own()
        for number in range(rounds):
            for stream, connections in CELLS:
                found = {}
                # The order alternates, so that a drift of the machine affects both alike.
                for name in sorted(PORTS, reverse=number % 2 == 0):
                    wanted = request("/api/v1/chat/completions", keys[name], stream=stream)
                    found[name] = measure(PORTS[name], wanted, connections, seconds).rate
                rates.setdefault((stream, connections), []).append((found["before"], found["after"]))
    return rates


def table(rates: Rates) -> str:
    """Return the table in Markdown. Each ratio is that of two adjacent measurements; the column is their median."""
    lines = [
        "| response | connections | before, req/s | after, req/s | after / before | lower 90 % bound | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    for (stream, connections), pairs in sorted(rates.items()):
        ratios = [after / before for before, after in pairs]
        before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
        lines.append(
            f"| {'50 chunks' if stream else 'non-streamed'} | {connections} | {before:,.0f} | {after:,.0f} | "
            f"{statistics.median(ratios):.3f} | {lower_bound(ratios):.3f} | {len(pairs)} |"
        )
    return "\n".join(lines)


def lower_bound(ratios: list[float]) -> float:
    """Return the lower end of the 90 % percentile bootstrap interval of the median of ``ratios``."""
    draws = np.random.default_rng(0).choice(ratios, (REPLICATES, len(ratios)))
    return float(np.quantile(np.median(draws, axis=1), 0.05))


def described(revision: str) -> str:
    """Return the abbreviated hash and the subject of ``revision``."""
    return git("log", "-1", "--format=%h (%s)", revision).stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each figure of each round")
    parser.add_argument("--write", action="store_true", help="put the table into docs/speed.md")
    options = parser.parse_args()
    found = table(run(options.revision, options.rounds, options.seconds))
    measured = f"Before: {described(options.revision)}.\n\n{found}"
    print(measured)
    if options.write:
        write_between(PAGE, "<!-- before and after", measured)
