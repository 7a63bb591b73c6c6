"""Let each worker of one server know what the others report: each keeps a small file that the others read.

A server is one process and its workers, such as ``portolan serve --workers 4``. The file of a worker that was killed
stays while its server runs, so that no counter of the server goes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from data.lake import Lake
from data.worker_reports import SUFFIX, WorkerReport, read_report

INTERVAL_S = 1.0
# A worker that is well but for a busy machine writes its file more often.
SILENT_S = 15.0


class ServerState(NamedTuple):
    """Hold the reports of a server's workers: of those that run, the own one first, and of those that have ended."""

    running: Sequence[WorkerReport]
    ended: Sequence[WorkerReport]
    silent: frozenset[str]

    @property
    def all(self) -> list[WorkerReport]:
        """Return all reports, over which counters add up."""
        return [*self.running, *self.ended]


class WorkerBoard:
    """Write the report of this worker, and read those of the other workers of its server."""

    def __init__(self, lake: Lake, report: Callable[[], WorkerReport]) -> None:
        self._folder = lake.health
        self._report = report
        # The secret of a process is inherited by the workers that it starts, and by no others.
        secret = bytes(multiprocessing.current_process().authkey)
        self._server = blake2b(secret, digest_size=8).hexdigest()
        self._path = self._folder / f"{self._server}.{os.getpid()}{SUFFIX}"

    def state(self) -> ServerState:
        """Return the reports of the server's workers. Reads files."""
        own = self._report()
        running, ended, silent = [own], [], set()
        for path in sorted(self._folder.glob(f"{self._server}.*{SUFFIX}")):
            found = read_report(path) if path != self._path else None
            if found is None:
                continue
            if not _is_running(found.pid):
                ended.append(found)
                continue
            running.append(found)
            if own.at - found.at > SILENT_S:
                silent.add(found.worker)
        return ServerState(running, ended, frozenset(silent))

    def write(self) -> None:
        """Write the report of this worker. A folder that cannot be written is left to the log, which says so."""
        draft = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            # Not synced: what is lost with the machine is of no use after it.
            draft.write_bytes(msgspec.json.encode(self._report()))
            draft.replace(self._path)

    async def watch(self) -> None:
        """Write the report each ``INTERVAL_S``, until it is cancelled."""
        await asyncio.to_thread(self._sweep)
        while True:
            await asyncio.to_thread(self.write)
            await asyncio.sleep(INTERVAL_S)

    def _sweep(self) -> None:
        """Remove the reports of servers that have no worker any more."""
        servers: dict[str, list[Path]] = {}
        for path in self._folder.glob(f"*{SUFFIX}"):
            servers.setdefault(path.name.partition(".")[0], []).append(path)
        servers.pop(self._server, None)
        for paths in servers.values():
            if not any(report is not None and _is_running(report.pid) for report in map(read_report, paths)):
                for path in paths:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
