"""A blocking check that fails shows in Dagster how many rows contradict it, and some of them, which name nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from data.lake import Lake
from pipelines.build import Candidate
from pipelines.defs.publication import published_mart
from pipelines.defs.resources import LakeResource
from pipelines.defs.tables import marts
from pipelines.marts import declaration, partitions
from pipelines.marts.catalogue import MARTS
from pipelines.marts.checking import SAMPLES
from pipelines.marts.declaration import MartCheck
from tests.pipelines.test_marts import fill, records

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = 30
USAGE = next(mart for mart in MARTS if mart.name == "usage_hourly")


def rewrite(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Change the text of ``pipelines/sql/<name>.sql``."""
    text = declaration._sql_text
    assert old in text(name)
    monkeypatch.setattr(
        declaration, "_sql_text", lambda asked: text(asked).replace(old, new) if asked == name else text(asked)
    )


def failed(lake: Lake, assets: Any, check: str) -> dict[str, Any]:
    """Materialize ``assets``; return what the instance, which the pages read, has of the check that failed."""
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"lake": LakeResource(data_dir=str(lake.root))}
        ran = dg.materialize([assets], instance=instance, resources=resources, raise_on_error=False)
        assert not ran.success
        (one,) = [one for one in ran.get_asset_check_evaluations() if not one.passed and one.blocking]
        assert one.check_name == check
        key = dg.AssetCheckKey(one.asset_key, check)
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None and record.event.dagster_event is not None
    return dict(record.event.dagster_event.asset_check_evaluation_data.metadata)


def samples(metadata: dict[str, Any]) -> list[dict[str, str]]:
    return [record.data for record in metadata["samples"].records]


def test_a_mart_that_misses_requests_shows_the_hours_and_both_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, rows = Lake(tmp_path), records(ROWS)
    fill(lake, rows)
    rewrite(monkeypatch, "usage_hourly", "FROM requests", "FROM requests WHERE completion_tokens <> 3")
    metadata = failed(lake, marts, "usage_counts_every_request")
    (sample,) = samples(metadata)
    assert metadata["contradictions"].value == 1
    assert sample.keys() == {"hour", "logged", "counted"}
    assert int(sample["logged"]) == int(sample["counted"]) + 1


def test_samples_are_bounded_and_name_no_key_user_or_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, rows = Lake(tmp_path), records(ROWS)
    for row in rows:
        row.key_hash, row.user_hash, row.session_id = "key", "user", "session"
    fill(lake, rows)
    check = MartCheck(
        USAGE.checks[1].sentence,
        "SELECT generation_id, key_hash, user_hash, session_id, repeat('x', 5000) AS long FROM requests",
    )
    monkeypatch.setattr(partitions, "MART_CHECKS", (check,))
    metadata = failed(lake, marts, "no_figure_is_negative")
    assert metadata["contradictions"].value == ROWS
    assert len(samples(metadata)) == SAMPLES
    assert {row["generation_id"] for row in samples(metadata)} <= {row.generation_id for row in rows}
    assert all(row.keys() == {"generation_id", "long"} and len(row["long"]) == 200 for row in samples(metadata))


def test_a_roll_up_that_contradicts_its_check_keeps_the_pointer_and_shows_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(ROWS))
    Candidate(lake, "other run").build()
    rewrite(monkeypatch, "market_share", "AS share", "/ 2 AS share")
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"lake": LakeResource(data_dir=str(lake.root))}
        ran = dg.materialize([published_mart], instance=instance, resources=resources, raise_on_error=False)
    assert not ran.success and lake.current_mart() is None
    found = {one.check_name: one for one in ran.get_asset_check_evaluations()}
    assert {name for name, one in found.items() if not one.passed} == {
        f"shares_of_a_{grain}_sum_to_1" for grain in ("day", "week", "month")
    }
    assert samples(dict(found["shares_of_a_month_sum_to_1"].metadata)) == [{"month": "2026-11-01", "share": "0.5"}]
