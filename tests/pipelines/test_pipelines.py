"""The job runs whole, in process; a failing check blocks publication."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from data.lake import Lake
from data.refreshes import last_refresh, read_refreshes
from models.selection.dataset import decision_log
from pipelines.activity import Activity
from pipelines.definitions import defs
from pipelines.defs.automation import schedules_are_on
from pipelines.defs.decisions import stale_hours
from pipelines.defs.liveness import dead_runs
from pipelines.defs.resources import LakeResource, LockedLakeResource
from pipelines.defs.training import learned_serves
from pipelines.marts import partitions
from pipelines.marts.catalogue import MARTS
from pipelines.marts.declaration import MartCheck
from pipelines.refresh import refresh
from tests.pipelines.test_marts import fill, records

# Dagster and skl2onnx warn of their own old calls.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_refresh_publishes_a_mart_of_every_request(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(30))
    said: list[str] = []
    report = refresh(tmp_path, said.append)
    assert report.succeeded, report.failed
    assert report.metadata["sealed_requests"]["dagster/row_count"] == 30
    assert "30 attempts" in report.metadata["candidate"]["reason"]
    assert report.metadata["decisions"]["dagster/partition_row_count"] == 30
    current = lake.current_mart()
    assert current is not None
    assert current.name == report.metadata["published_mart"]["version"]
    assert list(lake.marts.glob("*.tmp")) == []
    assert any(line.startswith("published_mart") for line in said)
    fill(lake, late := records(31)[30:])
    again = refresh(tmp_path, said.append)
    assert again.metadata["decisions"]["hours"] == 1
    assert again.metadata["training_set"]["dagster/row_count"] == 30 + len(late)


def test_a_refresh_keeps_its_result_and_how_long_requests_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, rows = Lake(tmp_path), records(40)
    fill(lake, rows[:30])
    first = refresh(tmp_path, lambda _: None)
    fill(lake, rows[30:])
    sealed = max(path.stat().st_mtime for path in lake.requests.glob("*/*.parquet"))
    contradict(monkeypatch)
    refresh(tmp_path, lambda _: None)
    monkeypatch.undo()
    third = refresh(tmp_path, lambda _: None)
    day = datetime.now(UTC).date()
    kept = read_refreshes(lake, day - timedelta(days=1), day)
    assert [(one.succeeded, one.listed, one.moved, one.version, one.requests) for one in kept] == [
        (True, True, True, first.version, 0), (False, False, False, first.version, 0),
        (True, True, True, third.version, 10),
    ]  # fmt: skip
    assert "usage_counts_every_request" in kept[1].failed and not kept[0].failed
    # What was sealed before the refresh that failed waited for the one after it.
    published = lake.marts / str(third.version)
    assert kept[2].lake_wait_s == pytest.approx(sealed - rows[30].started_at / 1e6, abs=0.01)
    assert kept[2].marts_wait_s == pytest.approx(published.stat().st_mtime - rows[30].started_at / 1e6, abs=0.01)
    assert last_refresh(lake) == last_refresh(lake, listed=True) == kept[2]


def test_a_refresh_that_dagster_has_started_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, rows = Lake(tmp_path), records(40)
    job, day = defs.resolve_job_def("refresh"), datetime.now(UTC).date()
    sensors = {ended: defs.get_sensor_def(f"logged_{ended}") for ended in ("success", "failure")}
    resources = {"lake": LockedLakeResource(data_dir=str(tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:

        def run(ended: str) -> None:
            ran = job.execute_in_process(instance=instance, raise_on_error=False, resources=resources)
            assert ran.success == (ended == "success")
            event = next(one for one in ran.all_events if one.is_job_success or one.is_job_failure)
            context = dg.build_run_status_sensor_context(f"logged_{ended}", event, instance, ran.dagster_run)
            sensors[ended](context, lake=LakeResource(data_dir=str(tmp_path)))

        fill(lake, rows[:30])
        run("success")
        first = lake.current_mart()
        fill(lake, rows[30:])
        contradict(monkeypatch)
        run("failure")
        monkeypatch.undo()
        run("success")
    third = lake.current_mart()
    assert first is not None and third is not None
    kept = read_refreshes(lake, day - timedelta(days=1), day)
    assert [(one.succeeded, one.listed, one.moved, one.version, one.requests) for one in kept] == [
        (True, True, True, first.name, 0), (False, False, False, first.name, 0), (True, True, True, third.name, 10),
    ]  # fmt: skip
    assert "usage_counts_every_request" in kept[1].failed and not kept[0].failed
    published = third.stat().st_mtime - rows[30].started_at / 1e6
    assert kept[2].marts_wait_s == pytest.approx(published, abs=0.01) and kept[2].seconds > 0


def contradict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check that usage counts every request find two contradictions."""
    rows = "SELECT unnest(['openai/m', 'openai/n']) AS model, 'k1' AS key_hash"
    monkeypatch.setattr(partitions, "MART_CHECKS", (MartCheck("usage counts every request", rows),))


def test_each_asset_says_what_it_read_wrote_and_skipped_and_the_last_sentence_what_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(30))
    said: list[str] = []
    seen: list[Activity] = []
    first = refresh(tmp_path, said.append, seen.append)
    shares = [now.share for now in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert f"marts: {len(MARTS)} of {len(MARTS)} partition files" in [now.text for now in seen]
    assert first.moved and first.sentence() == f"the marts are published as {first.version}."
    for mart in MARTS:
        (line,) = [line for line in said if line.startswith(f"{mart.name}: ")]
        assert "files read 1, requests read 30, partitions written 1, partitions skipped 0" in line
        assert re.search(r", [0-9.]+ s$", line)
    assert all("seconds" in metadata for metadata in first.metadata.values())
    assert said.index(next(line for line in said if line.startswith("published_mart"))) < said.index(
        next(line for line in said if line.startswith("candidate"))
    ), "publication does not wait for training"
    again = refresh(tmp_path, said.append)
    assert not again.moved and again.sentence() == f"the marts are unchanged: {first.version} stays in force."
    assert {again.metadata[mart.name]["partitions_written"] for mart in MARTS} == {0}
    assert {again.metadata[mart.name]["files_read"] for mart in MARTS} == {0}
    fill(lake, records(31)[30:])
    contradict(monkeypatch)
    said.clear()
    broken = refresh(tmp_path, said.append)
    assert not broken.succeeded and not broken.moved
    assert "published_mart: not run, for a step before it failed" in said
    assert broken.sentence().endswith(f"what was published before stays in force: {first.version}.")
    assert "usage_counts_every_request" in broken.sentence() and "published_mart" in broken.sentence()


def test_marts_that_were_published_are_not_denied_when_training_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(Lake(tmp_path), records(30))

    def fail(_: Lake) -> None:
        raise OSError("no space left for training")

    monkeypatch.setattr("models.selection.lifecycle.train.train", fail)
    report = refresh(tmp_path, lambda _: None)
    assert not report.succeeded and report.moved
    assert report.sentence().startswith("failed: candidate")
    assert report.sentence().endswith(f"the marts are published as {report.version}.")


def test_a_failing_check_blocks_publication(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(5))
    contradict(monkeypatch)
    report = refresh(tmp_path, lambda _: None)
    assert not report.succeeded
    assert "usage_counts_every_request" in report.failed
    assert report.metadata["guardrails"]["steps"] == report.metadata["promotion"]["steps"] == "none"
    assert lake.current_mart() is None


def test_a_run_that_cannot_begin_says_why(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    lake.build_lock.mkdir()
    report = refresh(tmp_path, lambda _: None)
    assert not report.succeeded
    assert [reason for reason in report.failed if str(lake.build_lock) in reason], report.failed


def test_all_hours_with_new_requests_are_one_run(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(100))
    hours, resources = list(decision_log.hours(lake)), {"lake": LakeResource(data_dir=str(tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            sensed = stale_hours(context)
        assert isinstance(sensed, dg.RunRequest)
        job = defs.resolve_job_def("decisions_by_hour")
        assert job.execute_in_process(tags=dict(sensed.tags), instance=instance, resources=resources).success
        assert instance.get_materialized_partitions(dg.AssetKey("decisions")) == set(hours)
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            assert isinstance(stale_hours(context), dg.SkipReason)


def test_dagster_schedules_by_itself_unless_it_is_told_that_another_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for schedule in defs.schedules or []:
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    for sensor in defs.sensors or []:
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    monkeypatch.setenv("PORTOLAN_SCHEDULES", "off")
    assert not schedules_are_on()


def test_guardrails_run_only_while_something_learned_serves(tmp_path: Path) -> None:
    assert isinstance(learned_serves(lake=LakeResource(data_dir=str(tmp_path))), dg.SkipReason)
    fill(Lake(tmp_path), records(10))
    resources = {"lake": LakeResource(data_dir=str(tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:
        ran = defs.resolve_job_def("watch").execute_in_process(instance=instance, resources=resources)
    assert ran.success
    (made,) = ran.get_asset_materialization_events()
    assert made.step_materialization_data.materialization.metadata["steps"].value == "none"


def test_the_sensors_evaluate_with_the_resource_of_the_definitions(tmp_path: Path) -> None:
    fill(Lake(tmp_path), records(10))
    lake = LockedLakeResource(data_dir=str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        with dg.build_sensor_context(instance=instance, resources={"lake": lake}) as context:
            assert isinstance(stale_hours(context), dg.RunRequest)
            assert dead_runs(context) == dg.SkipReason("no run is dead")
