"""Old runs are deleted with their events and files; those that made what Dagster shows of a day stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.run_retention import VARIABLE, delete_old_runs, run_days_from_environment

pytestmark = pytest.mark.filterwarnings("ignore")
DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@dg.asset(partitions_def=DAYS)
def table(context: dg.AssetExecutionContext) -> None:
    if context.has_tag("fails"):
        raise ValueError


def run(instance: dg.DagsterInstance, day: str, **tags: str) -> str:
    return dg.materialize([table], instance=instance, partition_key=day, tags=tags, raise_on_error=False).run_id


def test_old_runs_are_deleted_and_what_made_the_days_stays(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        failed = run(instance, "2026-01-01", fails="true")
        replaced, first, second = (run(instance, f"2026-01-0{day}") for day in (1, 1, 2))
        assert delete_old_runs(instance, now, 14, table.key, successes=3) == []
        assert delete_old_runs(instance, now + timedelta(days=15), 14, table.key, successes=1) == [failed, replaced]
        assert {one.run_id for one in instance.get_runs()} == {first, second}
        assert instance.get_materialized_partitions(table.key) == {"2026-01-01", "2026-01-02"}
    left = {path.name for path in tmp_path.rglob("*") if failed in path.name or replaced in path.name}
    assert left == set()


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_a_wrong_number_of_days_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert run_days_from_environment() == 14
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match=f"not {text}"):
        run_days_from_environment()
