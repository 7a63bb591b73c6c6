"""Seal segments in a child process, since sealing in the router's process would hold the interpreter's lock.

Each worker keeps one child. A lock of the lake lets one child work; the others stand by.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data.lake import Lake

if TYPE_CHECKING:
    from router_service.telemetry.sealing import SealedFiles

logger = logging.getLogger(__name__)
INTERVAL_S = 2.0


class Sealer:
    """Run the child process, which ends when this process does, even after a crash."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._child: subprocess.Popen[bytes] | None = None

    async def watch(self) -> None:
        """Keep a child running; run as a task."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            if self._child is None or self._child.poll() is not None:
                if self._child is not None:
                    logger.error("the sealer ended with status %s; starting another", self._child.returncode)
                # Not started in a thread: cancelling the await would leave an untracked child.
                self._start()

    def stop(self) -> None:
        """Stop the child, then seal the segments that it left."""
        from router_service.telemetry.sealing import recover

        if self._child is not None:
            assert self._child.stdin is not None
            self._child.stdin.close()
            self._child.wait()
        try:
            recover(self._lake)
        except OSError as error:
            logger.error("segments stay unsealed until the next start: %s", error)

    def _start(self) -> None:
        command = [sys.executable, "-m", __name__, str(self._lake.root)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _run(lake: Lake) -> None:
    """Seal every ``INTERVAL_S`` until the parent closes the pipe, or dies."""
    lock = os.open(lake.sealer_lock, os.O_RDWR | os.O_CREAT, 0o644)
    index: SealedFiles | None = None
    while not select.select([sys.stdin], [], [], INTERVAL_S)[0]:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        # Imported only when there is work, so that a child on standby uses little memory.
        from router_service.telemetry.sealing import SealedFiles, recover

        index = index or SealedFiles(lake)
        # The records of a segment are all alive at once and have no reference cycles: the collector would walk them
        # again and again, which takes as long as all the rest.
        gc.disable()
        try:
            index.add(recover(lake))
        except OSError as error:
            logger.error("sealing waits: %s", error)
        finally:
            gc.enable()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    _run(Lake(Path(sys.argv[1])))
