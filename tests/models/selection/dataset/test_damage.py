"""Damage in the log costs the rows that it is in, is counted, and stops no training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.policies import read_state
from models.selection.dataset import decision_log
from models.selection.dataset.replay_set import build_replay_set
from models.selection.dataset.samples import build_samples
from models.selection.lifecycle.train import describe_training_set, train
from tests.pipelines.test_marts import fill, records
from tests.router_service.planning.test_learned_selection import history

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Row = dict[str, Any]
HUGE = 2**62
# What of a row is damaged, and to what.
DAMAGE: list[tuple[str, Any]] = [
    *[("candidates.probability", value) for value in (math.nan, math.inf, -0.5, 1e200, None)],
    *[("candidates.score", value) for value in (math.nan, -math.inf, 1e200)],
    ("candidates.endpoint", None),
    *[("attempts.started_us", value) for value in (-1, HUGE, None)],
    *[("attempts.ttft_us", value) for value in (-5, HUGE)],
    *[("attempts.duration_us", value) for value in (-5, HUGE)],
    ("attempts.provider", None),
    *[("attempts", value) for value in ([], None)],
    ("candidates", None),
    *[("estimated_prompt_tokens", value) for value in (-1, HUGE, None)],
    ("max_tokens", -3),
    *[("completion_tokens", value) for value in (-555, HUGE)],
    ("held_tokens", -1),
    *[("cost_nano", value) for value in (-555, HUGE, None)],
    *[("cost_prompt_nano", value) for value in (-1, HUGE)],
    *[("ttft_us", value) for value in (-1, HUGE)],
    *[("duration_us", value) for value in (-1, HUGE)],
    *[(name, None) for name in ("tools", "stream", "cancelled", "started_at")],
    ("started_at", datetime(1970, 1, 1, tzinfo=UTC)),
]


def spoil(row: Row, what: str, value: Any) -> None:
    name, _, part = what.partition(".")
    if part:
        row[name][0][part] = value
    else:
        row[name] = value


def rewrite(lake: Lake, change: Callable[[list[Row]], None]) -> None:
    """Change the rows of the largest hour, whose file still names its sources."""
    path = max(lake.decisions.glob("*.parquet"), key=lambda path: pq.read_metadata(path).num_rows)
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """1,500 attempts between two endpoints, each drawn with an even chance."""
    lake, rows = Lake(tmp_path_factory.mktemp("damage")), history(1500)
    plan = [{"endpoint": f"{name}:m", "probability": 0.5, "score": 1.0} for name in ("fast", "slow")]
    fill(lake, rows)
    decision_log.catch_up(lake)
    for path in lake.decisions.glob("*.parquet"):
        table = pq.read_table(path)
        planned = [row | {"candidates": plan, "policy": "price"} for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(planned, schema=table.schema), path)
    return lake


@pytest.fixture
def lake(logged: Lake, tmp_path: Path) -> Lake:
    copy = Lake(tmp_path / "copy").create()
    for folder in ("lake", "decisions"):
        for source in (logged.root / folder).rglob("*.parquet"):
            target = copy.root / source.relative_to(logged.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return copy


@pytest.mark.parametrize(("what", "value"), DAMAGE)
def test_a_damaged_row_is_left_out_and_counted(lake: Lake, what: str, value: Any) -> None:
    before = decision_log.read(lake)
    rewrite(lake, lambda rows: spoil(rows[7], what, value))
    assert decision_log.catch_up(lake) == {}
    found = decision_log.read_counted(lake)
    assert (len(found.frame), found.damaged, found.unreadable) == (len(before) - 1, 1, 0)
    assert decision_log.count(lake) == len(before)
    # The last ones are the last that were logged: damage does not reach back for earlier ones.
    last = decision_log.read_counted(lake, last=1500)
    assert (len(last.frame), last.damaged) == (1499, 1)
    assert len(build_samples(found.frame).rows) == len(build_samples(before).rows) - 1
    assert build_replay_set(found.frame) is not None


def test_a_row_that_is_merely_odd_is_kept(lake: Lake) -> None:
    def change(rows: list[Row]) -> None:
        rows[7] |= {"max_tokens": HUGE, "model": None, "category": None, "completion_tokens": 0, "policy": None}
        rows[8]["candidates"][0] |= {"probability": 0.0, "score": None, "excluded_by": "outage"}

    rewrite(lake, change)
    found = decision_log.read_counted(lake)
    assert (len(found.frame), found.damaged) == (1500, 0)
    assert len(build_samples(found.frame).rows) == 1500


def test_training_learns_from_a_damaged_log_what_it_learns_without_the_damage(lake: Lake, tmp_path: Path) -> None:
    def damage(rows: list[Row]) -> None:
        for row, (what, value) in zip(rows[100::7], DAMAGE, strict=False):
            spoil(row, what, value)

    def leave_out(rows: list[Row]) -> None:
        gone = {id(row) for row, _ in zip(rows[100::7], DAMAGE, strict=False)}
        rows[:] = [row for row in rows if id(row) not in gone]

    clean = Lake(tmp_path / "clean").create()
    for path in lake.decisions.glob("*.parquet"):
        (clean.decisions / path.name).write_bytes(path.read_bytes())
    rewrite(lake, damage)
    rewrite(clean, leave_out)
    found = describe_training_set(lake)
    assert (found.damaged, found.due, found.decisions) == (len(DAMAGE), True, 1500)
    reports = [train(each) for each in (lake, clean)]
    assert [report.metrics["damaged_rows"] for report in reports] == [len(DAMAGE), 0]
    first, second = (
        json.loads((each.policies / str(report.version) / "policy.json").read_bytes())
        for each, report in zip((lake, clean), reports, strict=True)
    )
    assert first["levels"] == second["levels"]
    assert first["quantities"] == second["quantities"]
    state = read_state(lake, str(reports[0].version))
    assert state is not None
    assert state.lineage.metrics["damaged_rows"] == len(DAMAGE)


def test_figures_that_a_column_cannot_hold_cost_no_other_row(lake: Lake) -> None:
    """A file of another hand, in which TTFT is a floating-point number and holds what none can be."""
    path = min(lake.decisions.glob("*.parquet"))
    table = pq.read_table(path)
    place = table.schema.get_field_index("ttft_us")
    figures = pa.array([1e200, math.nan, math.inf, -1.0, *[5.0] * (len(table) - 4)])
    pq.write_table(table.set_column(place, "ttft_us", figures), path)
    found = decision_log.read_counted(lake)
    assert (found.damaged, found.unreadable) == (1, 0)
    assert found.frame["ttft_us"].head(4).to_list() == [None, None, None, 5]


def test_rows_of_an_hour_that_lie_out_of_order_are_put_in_order(lake: Lake) -> None:
    rewrite(lake, lambda rows: rows.reverse())
    assert len(build_samples(decision_log.read(lake)).rows) == 1500


def corrupted(path: Path) -> None:
    """The footer stands and the pages do not."""
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [corrupted, lambda path: path.write_bytes(b"torn"), Path.unlink])
def test_an_hour_that_cannot_be_read_stops_nothing(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(100))
    hours = decision_log.catch_up(lake)
    for file in lake.requests.glob("day=*/*.parquet"):
        file.unlink()
    lost, *kept = sorted(lake.decisions.glob("*.parquet"))
    damage(lost)
    found = decision_log.read_counted(lake)
    assert len(found.frame) == 100 - hours[lost.stem]
    assert found.unreadable == lost.exists()
    assert ("cannot be read" in caplog.text) == lost.exists()
    assert decision_log.count(lake) >= len(found.frame)
    assert decision_log.catch_up(lake) == {}
    assert decision_log.write_hour(lake, kept[0].stem, []) == hours[kept[0].stem]


@pytest.mark.parametrize("damage", [corrupted, lambda path: path.write_bytes(b"torn")])
def test_a_sealed_file_that_cannot_be_read_takes_no_others_rows_with_it(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    lake, rows = Lake(tmp_path), records(40)
    fill(lake, rows[:20])
    (first,) = lake.requests.glob("day=*/*.parquet")
    whole = first.read_bytes()
    fill(lake, rows[20:])
    damage(first)
    decision_log.catch_up(lake)
    assert len(decision_log.read(lake)) == 20
    first.write_bytes(whole)
    decision_log.catch_up(lake)
    assert len(decision_log.read(lake)) == 40
    assert decision_log.catch_up(lake) == {}


def test_a_log_with_too_few_sound_rows_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, history(250))
    decision_log.catch_up(lake)

    def change(rows: list[Row]) -> None:
        for row in rows[:100]:
            row["attempts"][0]["ttft_us"] = -1

    rewrite(lake, change)
    report = train(lake)
    assert (report.version, report.reason) == (
        None,
        "not trained: 150 of 250 attempts are usable, 200 are needed",
    )
