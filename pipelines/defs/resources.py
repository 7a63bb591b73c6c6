"""Provide the resources that the assets share: the lake, and the candidate mart of their run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import dagster as dg

from data.lake import Lake
from pipelines.build import Candidate
from pipelines.liveness import end_dead_runs, mark_alive
from pipelines.locks import exclusive

DATA_DIR = os.environ.get("PORTOLAN_DATA_DIR", "data/var")
# A run with this tag writes neither marts nor policies, and does not wait for the run that does.
BESIDE_BUILDS = "portolan/beside_builds"


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Resource of the lake; ``data_dir`` is the data directory of the installation."""

    data_dir: str

    def lake(self) -> Lake:
        return Lake(self.data_dir).create()

    def candidate(self, run_id: str) -> Candidate:
        """Return the unpublished mart that the steps of one run fill together."""
        return Candidate(self.lake(), run_id)


class LockedLakeResource(LakeResource):
    """Hold the lake's build lock from the start of a run to its end.

    Two runs then never build at once, even if they belong to different Dagster instances or one of them to none.
    """

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[LockedLakeResource]:
        """Set up a run before it claims a pool slot: mark it alive, get the build lock, end dead runs."""
        run, instance = context.run, context.instance
        if run is None or instance is None:
            # A sensor evaluates.
            yield self
            return
        lake = self.lake()
        mark_alive(instance, run.run_id, lake.runs)
        with nullcontext() if BESIDE_BUILDS in run.tags else exclusive(lake.build_lock):
            # After the lock: its holder may have been killed while this run waited for it.
            end_dead_runs(instance, lake.runs)
            yield self
