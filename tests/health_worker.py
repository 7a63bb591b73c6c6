"""Another worker: at each line of its input a burst of five failures, told at once. Killed by its test."""

from __future__ import annotations

import sys
from pathlib import Path

from router_service.routing.health import Health
from router_service.routing.health.journal import JournalPeers


def main() -> None:
    health = Health(peers=JournalPeers(Path(sys.argv[1])))
    for line in sys.stdin:
        for _ in range(5):
            health.failure(line.strip(), "server")
        health.synchronise()
        sys.stdout.write("told\n")
        sys.stdout.flush()


main()
