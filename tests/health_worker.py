"""Another worker: at each line of its input a burst of five failures, told at once. Killed by its test."""

from __future__ import annotations

import sys
from pathlib import Path

from router_service.cluster.journal import JournalTransport
from tests.peers import Worker


def main() -> None:
    worker = Worker(JournalTransport(Path(sys.argv[1])))
    for line in sys.stdin:
        worker.burst(line.strip())
        worker.synchronise()
        sys.stdout.write("told\n")
        sys.stdout.flush()


main()
