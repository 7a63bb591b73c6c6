"""`python -m benchmarks.chaos`: every fault against two workers; `--write` puts the table into docs/chaos.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.faults import FAULTS, cases
from benchmarks.chaos.report import Figures, figures, table
from benchmarks.chaos.run import run

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
MARKER = "<!-- table: python -m benchmarks.chaos --write -->\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/chaos.md")
    parser.add_argument("--requests", type=int, default=120, help="under each fault, streamed and whole")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second in each case")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=4, help="cases side by side, each with endpoints of its own")
    parser.add_argument("--hedge-share", type=float, default=0.0, help="PORTOLAN_HEDGE_SHARE of the router")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    options = parser.parse_args()
    chosen = cases(tuple(fault for fault in FAULTS if options.only in fault.name))
    with tempfile.TemporaryDirectory() as folder:
        done = run(
            chosen,
            Path(folder),
            requests=options.requests,
            rate=options.rate,
            workers=options.workers,
            at_once=options.at_once,
            hedge_share=options.hedge_share,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
    found = figures(done)
    text = f"{table(found)}\n\n{summary(found)}"
    print(text)
    for one in found:
        if not one.case.fault.all:
            for said in dict.fromkeys(one.failures):
                print(f"{one.case.fault.name}: {said}", file=sys.stderr)
    if options.write:
        before, _, rest = PAGE.read_text().partition(MARKER)
        PAGE.write_text(f"{before}{MARKER}\n{text}\n\n{rest[rest.index('<!-- end -->') :]}")


def summary(found: list[Figures]) -> str:
    """One sentence over all cases in which something healthy was left."""
    fair = [one for one in found if not one.case.fault.all]
    due, good = sum(one.due for one in fair), sum(one.good for one in fair)
    return (
        f"Where a healthy endpoint was left: {good:,} of {due:,} succeeded "
        f"({100 * good / max(due, 1):.2f} %), {sum(one.billed_twice for one in found)} were billed twice, "
        f"{sum(one.misbilled for one in found)} were billed otherwise than their provider's log says."
    )


if __name__ == "__main__":
    main()
