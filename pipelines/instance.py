"""Open the Dagster instance. ``python -m pipelines.instance …`` is ``dagster …`` on one that is set up safely.

Its web server is that of ``pipelines.webserver``.
"""

from __future__ import annotations

import fcntl
import os
import runpy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg


@contextmanager
def opened_instance() -> Iterator[dg.DagsterInstance]:
    """Open the instance of ``DAGSTER_HOME``, or an ephemeral one if that is not set.

    Two processes that set up the same SQLite storage at once would record its version twice, after which Dagster never
    opens it again. A lock of the folder keeps them apart.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
        return
    descriptor = os.open(home, os.O_RDONLY) if Path(home).is_dir() else None
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        opened = dg.DagsterInstance.get()
    finally:
        if descriptor is not None:
            os.close(descriptor)
    with opened as instance:
        yield instance


def _use_own_webserver() -> None:
    """Let ``dagster dev`` start ``pipelines.webserver`` in place of Dagster's module: it has no option for that."""
    from dagster._cli import dev

    module: Any = dev
    start = module.open_ipc_subprocess

    def start_own(command: Sequence[str], **options: Any) -> Any:
        return start(["pipelines.webserver" if word == "dagster_webserver" else word for word in command], **options)

    module.open_ipc_subprocess = start_own


if __name__ == "__main__":
    with opened_instance():
        pass
    _use_own_webserver()
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)
