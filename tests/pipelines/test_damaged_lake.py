"""A damaged, foreign or missing file in the lake is left out, named and counted, and all else goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from models.selection.dataset import decision_log
from pipelines.build import build_mart
from pipelines.marts import partitions
from pipelines.marts.declaration import MartCheck
from pipelines.refresh import refresh
from router_service.telemetry.key_usage import KeyUsageReader
from router_service.telemetry.lookup import find_on_disk
from tests.pipelines.test_marts import fill, records
from tests.running import portolan

# Dagster and skl2onnx warn of their own old calls.
pytestmark = pytest.mark.filterwarnings("ignore")

GOOD, BAD = 30, 10


def lake_of_two(folder: Path) -> tuple[Lake, Path, Path]:
    """Return a lake with a file of ``GOOD`` requests and one of ``BAD`` later ones."""
    lake, rows = Lake(folder), records(GOOD + BAD)
    for row in rows:
        row.key_hash = "key"
    fill(lake, rows[:GOOD])
    (good,) = lake.requests.glob("day=*/*.parquet")
    fill(lake, rows[GOOD:])
    (bad,) = set(lake.requests.glob("day=*/*.parquet")) - {good}
    return lake, good, bad


def pages(file: Path, column: str) -> tuple[int, int]:
    """Return where the pages of ``column`` begin in a file, and where they end."""
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    chunk = next(one for one in columns if one.path_in_schema == column)
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    return begin, begin + chunk.total_compressed_size


def damage_pages(file: Path, column: str) -> None:
    begin, end = pages(file, column)
    content = bytearray(file.read_bytes())
    content[begin:end] = b"\xff" * (end - begin)
    file.write_bytes(content)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def make_pipe(file: Path) -> None:
    """Opened for reading it would block for ever."""
    file.unlink()
    os.mkfifo(file)


def drop(*columns: str) -> Callable[[Path], None]:
    return lambda file: pq.write_table(pq.read_table(file).drop_columns(list(columns)), file)


def retype(column: str, kind: pa.DataType) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        table = pq.read_table(file)
        values = pa.nulls(len(table), kind)
        pq.write_table(table.set_column(table.schema.get_field_index(column), column, values), file)

    return change


FOOTERS: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
    "footer cut off": lambda file: os.truncate(file, file.stat().st_size - 9),
    "footer damaged": lambda file: file.write_bytes(file.read_bytes()[:-200] + b"\xfe" * 192 + file.read_bytes()[-8:]),
    "text": lambda file: file.write_text("generation_id,cost\n" * 100),
    "other columns": lambda file: pq.write_table(pa.table({"a": [1, 2], "generation_id": ["x", "y"]}), file),
    "no identity": drop("started_at"),
    "other type": retype("cost_nano", pa.string()),
    "other struct": retype("attempts", pa.list_(pa.struct([("name", pa.string())]))),
    "time without zone": retype("started_at", pa.timestamp("us")),
    "folder": make_folder,
    "pipe": make_pipe,
}
PAGES = {
    f"pages of {column}": column
    for column in ("generation_id", "started_at", "cost_nano", "key_hash", "attempts.list.element.endpoint")
}
DAMAGE: dict[str, Callable[[Path], object]] = FOOTERS | {
    name: lambda file, column=column: damage_pages(file, column)  # type: ignore[misc]
    for name, column in PAGES.items()
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_reader_leaves_a_damaged_file_out_and_names_it(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    lake, _, bad = lake_of_two(tmp_path)
    DAMAGE[kind](bad)
    build_mart(lake)
    with open_mart(lake) as mart:
        assert mart.execute("SELECT requests FROM summary").fetchone() == (GOOD,)
        for table in ("usage_hourly", "market_share_weekly"):
            assert mart.execute(f"SELECT sum(requests) FROM {table}").fetchone() == (GOOD,)
        assert mart.execute("SELECT file FROM unreadable").fetchall() == [(str(bad),)]
    assert [one.path for one in lake_files.listing(lake).unreadable] == [bad]
    assert sum(decision_log.catch_up(lake).values()) == decision_log.count(lake) == GOOD
    rows = records(GOOD + BAD)
    spent = KeyUsageReader(lake).of("key", datetime.fromtimestamp(rows[0].started_at / 1e6, UTC).date())
    assert spent.total == sum(row.cost_nano for row in rows[:GOOD])
    found = find_on_disk(lake, rows[0].generation_id)
    assert found is not None and found["cost_nano"] == rows[0].cost_nano
    assert find_on_disk(lake, rows[GOOD].generation_id) is None
    (message,) = {record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING}
    assert str(bad) in message


@pytest.mark.parametrize("column", PAGES.values())
def test_damaged_pages_are_found_by_whoever_reads_them_first_and_a_repaired_file_counts_again(
    tmp_path: Path, column: str
) -> None:
    lake, good, bad = lake_of_two(tmp_path)
    whole, state = bad.read_bytes(), bad.stat()
    damage_pages(bad, column)
    os.utime(bad, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert len(lake_files.listing(lake).files) == 2
    read = lake_files.read(lake, [good, bad], [column.partition(".")[0]])
    assert (len(read.table), [one.path for one in read.left_out]) == (GOOD, [bad])
    assert [file.path for file in lake_files.listing(lake).files] == [good]
    reader = KeyUsageReader(lake)
    today = datetime.fromtimestamp(records(1)[0].started_at / 1e6, UTC).date()
    costs = [row.cost_nano for row in records(GOOD + BAD)]
    assert sum(decision_log.catch_up(lake).values()) == GOOD
    assert reader.of("key", today).total == sum(costs[:GOOD])
    bad.write_bytes(whole)
    os.utime(bad, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert build_mart(lake).requests == GOOD + BAD
    assert reader.of("key", today).total == sum(costs)
    decision_log.catch_up(lake)
    assert decision_log.count(lake) == GOOD + BAD


def test_damage_that_comes_after_publication_leaves_what_was_counted(tmp_path: Path) -> None:
    lake, good, bad = lake_of_two(tmp_path)
    build_mart(lake)
    os.truncate(good, 1000)
    os.truncate(bad, 1000)
    build_mart(lake)
    with open_mart(lake) as mart:
        assert mart.execute("SELECT sum(requests) FROM usage_hourly").fetchone() == (GOOD + BAD,)
        assert mart.execute("SELECT requests FROM summary").fetchone() == (GOOD + BAD,)
        assert mart.execute("SELECT count(*) FROM unreadable").fetchone() == (2,)


def test_a_file_that_is_removed_while_it_is_read_is_missed_and_not_called_damaged(tmp_path: Path) -> None:
    lake, good, bad = lake_of_two(tmp_path)
    hours = decision_log.hours(lake)
    bad.unlink()
    rows = [decision_log.write_hour(lake, hour, files) for hour, files in hours.items()]
    assert sum(rows) == GOOD
    assert lake_files.read(lake, [good, bad], ["generation_id"]).left_out[0].reason == lake_files.GONE
    assert not lake.unreadable.exists()


def test_a_wrong_question_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, good, bad = lake_of_two(tmp_path)
    with pytest.raises(pa.ArrowInvalid, match="no_such_column"):
        lake_files.read(lake, [good, bad], ["no_such_column"])
    wrong = MartCheck("no question is wrong", "SELECT * FROM no_such_table")
    monkeypatch.setattr(partitions, "MART_CHECKS", (wrong,))
    with pytest.raises(duckdb.Error, match="no_such_table"):
        build_mart(lake)
    assert lake_files.listing(lake).unreadable == []


def test_a_name_that_is_not_utf_8_is_left_out(tmp_path: Path) -> None:
    _, _, bad = lake_of_two(tmp_path)
    bad.rename(bad.parent / os.fsdecode(b"\xff.parquet"))
    report = refresh(tmp_path, lambda _: None)
    assert report.succeeded, report.failed
    assert report.metadata["sealed_requests"]["dagster/row_count"] == GOOD
    assert "\ufffd.parquet" in report.metadata["published_mart"]["unreadable"]


def test_a_dangling_link_is_passed_over(tmp_path: Path) -> None:
    lake, _, bad = lake_of_two(tmp_path)
    bad.unlink()
    bad.symlink_to(tmp_path / "nowhere")
    assert build_mart(lake).requests == GOOD
    assert lake_files.listing(lake).unreadable == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_or_a_folder_that_may_not_be_read_is_left_out_until_it_may(tmp_path: Path) -> None:
    lake, _, bad = lake_of_two(tmp_path)
    for path in (bad, bad.parent):
        mode = path.stat().st_mode
        path.chmod(0)
        assert lake_files.listing(lake).unreadable == [lake_files.Unreadable(path, "Permission denied")]
        build_mart(lake)
        path.chmod(mode)
        assert build_mart(lake).requests == GOOD + BAD


def test_a_lake_without_a_readable_file_gives_an_empty_mart(tmp_path: Path) -> None:
    lake, good, bad = lake_of_two(tmp_path)
    good.write_bytes(b"")
    damage_pages(bad, "started_at")
    build_mart(lake)
    with open_mart(lake) as mart:
        assert mart.execute("SELECT requests FROM summary").fetchone() == (0,)
        assert mart.execute("SELECT count(*) FROM unreadable").fetchone() == (2,)
    assert decision_log.catch_up(lake) == {}


@pytest.mark.parametrize("older_first", [True, False])
def test_files_of_older_and_newer_versions_are_read_in_either_order(tmp_path: Path, older_first: bool) -> None:
    lake, first, second = lake_of_two(tmp_path)
    older, newer = (first, second) if older_first else (second, first)
    drop("category", "category_confidence", "modality", "ttft_us")(older)
    table = pq.read_table(newer)
    table = table.set_column(table.schema.get_field_index("tools"), "tools", table["tools"].cast(pa.int16()))
    pq.write_table(table.append_column("later", pa.array(range(len(table)))), newer)
    assert build_mart(lake).requests == GOOD + BAD
    assert sum(decision_log.catch_up(lake).values()) == GOOD + BAD
    assert lake_files.listing(lake).unreadable == []
    columns = ["category", "tools", "ttft_us"]
    assert lake_files.read_all(lake, columns).schema.names == columns


def test_arrivals_are_read_where_a_file_has_no_statistics(tmp_path: Path) -> None:
    lake, _, bad = lake_of_two(tmp_path)
    before = {file.path: file for file in lake_files.listing(lake).files}[bad]
    pq.write_table(pq.read_table(bad), bad, write_statistics=False)
    after = {file.path: file for file in lake_files.listing(lake).files}[bad]
    assert after == before and after.first is not None


def test_a_damaged_hour_of_decisions_is_written_again_and_kept_aside(tmp_path: Path) -> None:
    lake, _, _ = lake_of_two(tmp_path)
    decision_log.catch_up(lake)
    before = decision_log.read(lake)
    for hour in sorted(lake.decisions.glob("*.parquet")):
        damage_pages(hour, "generation_id")
    assert decision_log.read(lake).equals(before)
    assert decision_log.count(lake) == GOOD + BAD
    assert len(list(lake.decisions.glob("*.damaged"))) == len(list(lake.decisions.glob("*.parquet")))


def test_a_refresh_counts_what_it_leaves_out(tmp_path: Path) -> None:
    _, _, bad = lake_of_two(tmp_path)
    damage_pages(bad, "attempts.list.element.endpoint")
    (bad.parent / "empty.parquet").touch()
    report = refresh(tmp_path, lambda _: None)
    assert report.succeeded, report.failed
    published = report.metadata["published_mart"]
    assert published["unreadable_files"] == 2
    assert bad.name in published["unreadable"] and "empty.parquet" in published["unreadable"]
    assert report.metadata["decisions"]["dagster/partition_row_count"] == GOOD
    again = refresh(tmp_path, lambda _: None)
    assert again.metadata["sealed_requests"]["dagster/row_count"] == GOOD
    assert again.metadata["sealed_requests"]["unreadable_files"] == 2


def test_the_commands_name_the_file_and_succeed(tmp_path: Path) -> None:
    lake, _, bad = lake_of_two(tmp_path)
    bad.write_text("no Parquet")
    for command in (("policy", "check"), ("refresh",)):
        ran = portolan(*command, "--data-dir", str(lake.root))
        assert ran.returncode == 0, ran.stderr
        assert f"{bad} is left out" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert f"unreadable files 1, unreadable {bad.parent.name}/{bad.name}: " in ran.stdout
    assert "warning: every_file_can_be_read: 1 files are set aside. Restore the file" in ran.stdout
    assert ran.stdout.endswith("; 1 check warns.\n")
