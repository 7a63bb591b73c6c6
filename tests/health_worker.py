"""Run a worker that reports five failures for each line of its input and sends them at once. Its test kills it."""

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
        sys.stdout.write("sent\n")
        sys.stdout.flush()


main()
