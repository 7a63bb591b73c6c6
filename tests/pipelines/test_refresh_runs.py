"""Real ``portolan refresh`` processes on one data directory: killed in the middle of a step, and started at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy.exc
import yaml

from data.lake import Lake
from data.record import lake_files
from models.selection.dataset import decision_log
from pipelines.build import build_mart
from pipelines.instance import opened_instance
from pipelines.liveness import LOCK_TAG, POOLS, end_dead_runs
from pipelines.locks import exclusive
from pipelines.refresh import refresh, resting_until
from portolan.stack import DAGSTER
from tests.pipelines.test_marts import fill, records
from tests.pipelines.test_partitions import contents
from tests.running import ROOT, Running, environment, free_port, until

pytestmark = pytest.mark.filterwarnings("ignore")
PATIENCE_S = 300.0


def prepared(folder: Path, count: int = 100) -> tuple[Lake, Path]:
    """Return a lake with records, and a ``DAGSTER_HOME`` as ``portolan up`` makes it."""
    lake, home = Lake(folder / "data"), folder / "dagster"
    fill(lake, records(count))
    home.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER)
    return lake, home


def refreshing(lake: Lake, home: Path | None, output: Path) -> Running:
    variables = {"DAGSTER_HOME": str(home) if home else ""}
    return Running(output, "refresh", "--data-dir", str(lake.root), **variables)


def succeeds(refresh: Running) -> None:
    until(lambda: refresh.process.poll() is not None, f"the refresh ends; it said: {refresh.output}", PATIENCE_S)
    assert refresh.process.returncode == 0, refresh.output


def holders(instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """Return pool and run id of every claimed slot."""
    infos = {pool: instance.event_log_storage.get_concurrency_info(pool) for pool in POOLS}
    return {(pool, slot.run_id) for pool, info in infos.items() for slot in info.claimed_slots}


def stop_outside_a_write(refresh: Running, instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """Stop a refresh by SIGSTOP where it locks no database of Dagster; returns the claimed slots at that moment."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        os.killpg(refresh.process.pid, signal.SIGSTOP)
        try:
            slots = holders(instance)
            instance.add_dynamic_partitions("written by a test", ["a"])
            instance.get_runs()
            return slots
        except sqlalchemy.exc.OperationalError:
            # Whoever is stopped in the middle of a transaction keeps its lock until it goes on.
            os.killpg(refresh.process.pid, signal.SIGCONT)
            assert time.monotonic() < deadline, refresh.output
            time.sleep(0.05)


def kill_while_it_holds(refresh: Running, instance: dg.DagsterInstance, pool: str) -> str:
    """SIGKILL a refresh that holds the slot of ``pool``; returns the run's id."""

    def held() -> list[str]:
        return [run_id for name, run_id in holders(instance) if name == pool]

    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert refresh.process.poll() is None and time.monotonic() < deadline, refresh.output
        if held():
            # Stopped, so that the slot cannot be released between the look and the kill.
            if any(name == pool for name, _ in stop_outside_a_write(refresh, instance)):
                break
            os.killpg(refresh.process.pid, signal.SIGCONT)
        time.sleep(0.005)
    (run_id,) = held()
    refresh.kill()
    assert held() == [run_id]
    return run_id


@pytest.mark.parametrize("pool", ["mart", pytest.param("decisions", marks=pytest.mark.slow)])
def test_a_refresh_killed_while_it_holds_a_slot_does_not_block_the_next(tmp_path: Path, pool: str) -> None:
    lake, home = prepared(tmp_path)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        with refreshing(lake, home, tmp_path / "first") as first:
            killed = kill_while_it_holds(first, instance, pool)
        with refreshing(lake, home, tmp_path / "second") as second:
            succeeds(second)
        run = instance.get_run_by_id(killed)
        assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
        assert holders(instance) == set()
        assert end_dead_runs(instance, lake.runs) == []
    assert lake.current_mart() is not None
    assert list(lake.runs.iterdir()) == []


@pytest.mark.slow  # On a busy machine the first may be done before it is stopped.
def test_a_refresh_killed_while_another_waits_for_it_lets_that_one_build(tmp_path: Path) -> None:
    lake, home = prepared(tmp_path)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        with refreshing(lake, home, tmp_path / "first") as first:
            until(lambda: holders(instance), f"the first builds; it said: {first.output}", PATIENCE_S)
            stop_outside_a_write(first, instance)
            with refreshing(lake, home, tmp_path / "second") as second:
                until(lambda: "holds" in second.output, f"the second waits; it said: {second.output}", PATIENCE_S)
                assert f"process {first.process.pid} holds {lake.build_lock}" in second.output
                first.kill()
                succeeds(second)
        assert holders(instance) == set()


def test_learning_rests_after_a_run_that_was_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, home = prepared(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setattr("pipelines.refresh.SHARE", 1e-6)

    @dg.job(name="learning")
    def short() -> None:
        pass

    with opened_instance() as instance:
        assert resting_until(instance) is None
        short.execute_in_process(instance=instance)
        assert resting_until(instance) is None, "it was no long run"
        monkeypatch.setattr("pipelines.refresh.LONG_S", 0.0)
        assert resting_until(instance) is not None
    lines: list[str] = []
    report = refresh(lake.root, lines.append)
    assert report.succeeded and report.moved and "training_set" not in report.metadata
    assert any(line.startswith("learning: not run, for its last run was long") for line in lines)
    assert {path.stem for path in lake.decisions.iterdir()} == set(decision_log.hours(lake)), "all hours are over"


def test_ctrl_c_ends_a_refresh_that_waits_for_another(tmp_path: Path) -> None:
    lake, home = prepared(tmp_path, 1)
    with exclusive(lake.build_lock), refreshing(lake, home, tmp_path / "output") as waiting:
        until(lambda: "holds" in waiting.output, f"it waits; it said: {waiting.output}", PATIENCE_S)
        waiting.process.send_signal(signal.SIGINT)
        until(lambda: waiting.process.poll() is not None, "it ends", PATIENCE_S)
    assert list(lake.marts.iterdir()) == []


@pytest.mark.parametrize("with_dagster_home", [True, False])
def test_two_refreshes_started_at_once_never_build_at_the_same_time(tmp_path: Path, with_dagster_home: bool) -> None:
    lake, home = prepared(tmp_path)
    most = 0
    wanted = home if with_dagster_home else None
    with refreshing(lake, wanted, tmp_path / "one") as one, refreshing(lake, wanted, tmp_path / "other") as other:
        deadline = time.monotonic() + PATIENCE_S
        while {one.process.poll(), other.process.poll()} != {0}:
            assert time.monotonic() < deadline, one.output + other.output
            assert one.process.poll() in (None, 0) and other.process.poll() in (None, 0), one.output + other.output
            most = max(most, len(list(lake.marts.glob("candidate-*.tmp"))))
            time.sleep(0.005)
    assert most == 1
    assert len(list(lake.marts.glob("marts-*.duckdb"))) == 1, "the second finds nothing to publish"
    if with_dagster_home:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            spans = sorted(span(instance, run) for run in instance.get_runs(filters=dg.RunsFilter(job_name="refresh")))
        assert len(spans) == 2
        assert spans[0][1] <= spans[1][0]


def span(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[float, float]:
    """Return when the first step of a run began and when its last ended."""
    steps = instance.get_run_step_stats(run.run_id)
    return min(step.start_time or 0 for step in steps), max(step.end_time or 0 for step in steps)


def test_slots_of_deleted_and_finished_runs_are_freed_and_those_of_a_living_run_are_not(tmp_path: Path) -> None:
    lake, home = prepared(tmp_path, 1)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        storage = instance.event_log_storage
        for pool in POOLS:
            storage.initialize_concurrency_limit_to_default(pool)
            storage.claim_concurrency_slot(pool, "deleted", "step")
        with refreshing(lake, home, tmp_path / "output") as living:
            until(lambda: {run_id for _, run_id in holders(instance)} - {"deleted"}, "it builds", PATIENCE_S)
            stop_outside_a_write(living, instance)
            assert end_dead_runs(instance, lake.runs) == []
            (run,) = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            assert LOCK_TAG in run.tags
            os.killpg(living.process.pid, signal.SIGCONT)
            succeeds(living)
        storage.claim_concurrency_slot("guardrails", run.run_id, "step")
        assert end_dead_runs(instance, lake.runs) == [run.run_id]
        assert holders(instance) == set()


@pytest.mark.slow
def test_the_daemon_ends_a_dead_run_although_no_other_begins(tmp_path: Path) -> None:
    lake, home = prepared(tmp_path)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        with refreshing(lake, home, tmp_path / "refresh") as refresh:
            kill_while_it_holds(refresh, instance, "mart")
        command = [sys.executable, "-W", "ignore", "-m", "pipelines.instance", "dev", "-m", "pipelines.definitions"]
        variables = {"DAGSTER_HOME": str(home), "PORTOLAN_DATA_DIR": str(lake.root)}
        with (tmp_path / "dagster.log").open("wb") as log:
            daemon = subprocess.Popen(
                [*command, "-p", str(free_port())],
                env=environment() | variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            said = (tmp_path / "dagster.log").read_text
            until(lambda: daemon.poll() is not None or not holders(instance), "the slot is freed", PATIENCE_S)
            assert holders(instance) == set(), said()
        finally:
            daemon.send_signal(signal.SIGINT)
            daemon.wait(PATIENCE_S)


def test_the_checkout_and_portolan_up_tell_dagster_the_same() -> None:
    checkout, up = yaml.safe_load((ROOT / "dagster.yaml").read_text()), yaml.safe_load(DAGSTER)
    assert up == {name: checkout[name] for name in up}
    assert up["run_monitoring"]["enabled"]


KILLS, BATCH = 5, 60


def writes_partitions(lake: Lake) -> Callable[[], bool]:
    """Return whether a partition file has been written since now."""
    before = set(lake.marts.glob("*/*.parquet"))
    return lambda: not before.issuperset(lake.marts.glob("*/*.parquet"))


def has_published(lake: Lake) -> Callable[[], bool]:
    """Return whether a version has been published since now, after which the lake is compacted."""
    before = lake.current_mart()
    return lambda: lake.current_mart() != before


@pytest.mark.slow
def test_refreshes_that_are_killed_in_dagster_while_they_write_and_compact_lose_and_repeat_nothing(
    tmp_path: Path,
) -> None:
    lake, home = prepared(tmp_path, 0)
    rows, dice = records(KILLS * BATCH), random.Random(7)
    for number in range(KILLS):
        fill(lake, rows[number * BATCH : (number + 1) * BATCH])
        for file in lake.requests.glob("day=*/*.parquet"):
            # Old enough to be compacted.
            os.utime(file, (0, 0))
        reached = (has_published if number % 2 else writes_partitions)(lake)
        with refreshing(lake, home, tmp_path / f"output-{number}") as killed:
            deadline = time.monotonic() + PATIENCE_S
            while not reached():
                assert killed.process.poll() is None and time.monotonic() < deadline, killed.output
                time.sleep(0.001)
            time.sleep(dice.uniform(0.0, 0.2))
            assert killed.process.poll() is None, "it is killed before its end"
            killed.kill()
    with refreshing(lake, home, tmp_path / "output") as last:
        succeeds(last)
    found = lake_files.read_all(lake, ["generation_id", "cost_nano"]).sort_by("generation_id").to_pydict()
    assert found["generation_id"] == sorted(row.generation_id for row in rows)
    assert sum(found["cost_nano"]) == sum(row.cost_nano for row in rows)
    whole = Lake(tmp_path / "whole")
    fill(whole, rows)
    build_mart(whole)
    assert contents(lake) == contents(whole)
    assert len(list(lake.requests.glob("day=*/day-*.parquet"))) >= 1
    with dg.DagsterInstance.from_config(str(home)) as instance:
        failed = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        assert len(failed) == KILLS and holders(instance) == set()
        assert end_dead_runs(instance, lake.runs) == []
    assert list(lake.root.rglob(".*.tmp")) == list(lake.runs.iterdir()) == []
