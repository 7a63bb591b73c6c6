"""`python -m benchmarks.closed_loop` runs the lifecycle of policies in a real stack; `--write` writes its document."""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from benchmarks.closed_loop.browser import CHROMIUM
from benchmarks.closed_loop.report import page
from benchmarks.closed_loop.run import run
from portolan.processes import terminating

DOCS = Path(__file__).parents[2] / "docs"
# 100 minutes of market must pass after a challenger's training before a gate can let it through.
MARKET_MINUTES = 225.0
SHORT_SPEED = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=15.0, help="about how long; sets the lab's speed")
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--refresh-every", type=float, default=10.0, help="seconds between turns of the loop")
    parser.add_argument("--short", action="store_true", help="without the second champion, whose proof takes longest")
    parser.add_argument("--write", action="store_true", help="put the page and its pictures into docs")
    parser.add_argument("--keep", type=Path, help="folder for the stack's data, to look into afterwards")
    options = parser.parse_args()
    if options.write and CHROMIUM is None:
        parser.error("Chromium is missing: the page shows the dashboards")
    # Without the proof there is no need for that much market, and slower waits stand out from those of a busy machine.
    speed = SHORT_SPEED if options.short else min(max(round(MARKET_MINUTES / options.minutes), 1), 100)
    warnings.simplefilter("ignore")
    with terminating(), tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        play = run(
            folder,
            DOCS / "images" if options.write else folder / "images",
            speed=speed,
            rate=options.rate,
            refresh_s=options.refresh_every,
            patience_s=max(options.minutes * 60, 480.0),
            short=options.short,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
    text = page(play, f"python -m benchmarks.closed_loop {' '.join(_said(sys.argv[1:]))}")
    print(text)
    if play.missing:
        sys.exit(f"not whole: {play.missing}")
    if options.write:
        (DOCS / "closed-loop.md").write_text(text)


def _said(words: list[str]) -> list[str]:
    """``words`` of the command but for where things were kept, which is nobody else's place."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep")
    return parser.parse_known_args(words)[1]


if __name__ == "__main__":
    main()
