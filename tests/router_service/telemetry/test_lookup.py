"""Test that a look-up of one record opens few files, however many a day has."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.record import lake_files
from data.record.generated_rows import record_table
from data.record.lake_index import drop_index, read_index, write_index
from router_service.telemetry import lookup
from router_service.telemetry.lookup import LONGEST_SEGMENT, find_on_disk
from router_service.telemetry.sealing import SealedFiles, SealReport

DAY, START = "2026-11-17", 1_794_873_600
FILES = 600
# Files of two workers that were open at the same time.
FEW = 2


def generation_id(second: int) -> str:
    return f"gen-{START + second}-{second:020d}"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a lake with a day of hundreds of sealed files, each with ten seconds."""
    lake = Lake(tmp_path_factory.mktemp("crowded")).create()
    folder = lake.requests / f"day={DAY}"
    folder.mkdir()
    for number in range(FILES):
        seconds = (number * 10, number * 10 + 9)
        arrivals = pa.array([(START + second) * 1_000_000 for second in seconds])
        columns = {
            "generation_id": [generation_id(second) for second in seconds],
            "started_at": arrivals.cast(pa.timestamp("us", tz="UTC")),
        }
        table = record_table(columns, len(seconds))
        pq.write_table(table, folder / f"w-{(START + number * 10) * 1_000_000}-{number}.parquet")
    return lake


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the files that are opened for their footers and for their rows, as in a process that has begun."""
    found: Counter[str] = Counter()
    read_metadata, read = pq.read_metadata, lake_files.read

    def count_footer(path: Path) -> object:
        found["footers"] += 1
        return read_metadata(path)

    def count_files(lake: Lake, paths: list[Path], *arguments: object) -> object:
        found["rows"] += len(paths)
        return read(lake, paths, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lake_files.pq, "read_metadata", count_footer)
    monkeypatch.setattr(lookup.lake_files, "read", count_files)
    forget()
    return found


@pytest.fixture
def unindexed(crowded: Lake) -> Iterator[Lake]:
    """Return that lake without its index, which comes back afterwards."""
    before = read_index(crowded, f"day={DAY}")
    drop_index(crowded, f"day={DAY}")
    yield crowded
    write_index(crowded, f"day={DAY}", before)


def forget() -> None:
    lake_files._known.clear()
    lookup._listed.clear()


def test_an_indexed_day_is_searched_by_its_index(crowded: Lake, opened: Counter[str]) -> None:
    """An id has the second of its arrival, so of the files of a day only those with that second are opened."""
    SealedFiles(crowded).add([SealReport("w", 2, 0, 0, (DAY,))])
    assert opened["footers"] == FILES
    forget()
    opened.clear()
    for second in (0, 2_340, FILES * 10 - 1):
        row = find_on_disk(crowded, generation_id(second))
        assert row is not None and row["started_at"] == (START + second) * 1_000_000
    for second in (5, 2_345, FILES * 10 + 500):
        assert find_on_disk(crowded, generation_id(second)) is None
    assert find_on_disk(crowded, "gen-1-x") is None
    assert opened["footers"] == 0
    assert opened["rows"] <= 6 * FEW


def test_files_that_no_index_has_are_opened_once(crowded: Lake, opened: Counter[str], tmp_path: Path) -> None:
    SealedFiles(crowded).add([SealReport("w", 2, 0, 0, (DAY,))])
    forget()
    opened.clear()
    folder = crowded.requests / f"day={DAY}"
    copies = [folder / f"w-{number}-new.parquet" for number in range(5)]
    for copy in copies:
        shutil.copy(folder / f"w-{START * 1_000_000}-0.parquet", copy)
    for _ in range(3):
        assert find_on_disk(crowded, generation_id(5)) is None
    assert opened["footers"] == 5
    assert opened["rows"] <= 3 * (5 + FEW)
    for copy in copies:
        copy.unlink()


def test_without_an_index_files_around_the_time_of_an_id_are_opened(unindexed: Lake, opened: Counter[str]) -> None:
    """A sealed file has the time of its segment in its name, so that an unknown id does not open all files of a day."""
    last = FILES * 10 - 1
    for _ in range(2):
        assert find_on_disk(unindexed, generation_id(last - 4)) is None
        assert opened["footers"] == LONGEST_SEGMENT.seconds // 10
    row = find_on_disk(unindexed, generation_id(last))
    assert row is not None and row["started_at"] == (START + last) * 1_000_000
    assert opened["footers"] == LONGEST_SEGMENT.seconds // 10
    row = find_on_disk(unindexed, generation_id(2_340))
    assert row is not None and row["started_at"] == (START + 2_340) * 1_000_000
    assert opened["footers"] == FILES - (2_340 - LONGEST_SEGMENT.seconds) // 10
    assert opened["rows"] <= 4 * FEW


@pytest.mark.parametrize(
    "name", ["x", "gen-", "gen-x-y", "a-1794873600-b", "gen-1-x", f"gen-{START}", "gen-²794873600-x"]
)
def test_an_id_without_a_time_opens_nothing(unindexed: Lake, opened: Counter[str], name: str) -> None:
    assert find_on_disk(unindexed, name) is None
    assert not opened and not lookup._listed


def test_a_record_that_waited_for_the_disk_is_found_without_an_index(crowded: Lake, tmp_path: Path) -> None:
    """It is in a segment that was begun long after it arrived."""
    lake = Lake(tmp_path).create()
    (folder := lake.requests / f"day={DAY}").mkdir()
    forget()
    first = crowded.requests / f"day={DAY}" / f"w-{START * 1_000_000}-0.parquet"
    shutil.copy(first, folder / f"w-{(START + 3_500) * 1_000_000}-7.parquet")
    assert find_on_disk(lake, generation_id(0)) is not None
    assert find_on_disk(lake, generation_id(5)) is None


def test_days_that_lack_an_index_get_one(crowded: Lake, opened: Counter[str], tmp_path: Path) -> None:
    lake, folder = Lake(tmp_path).create(), f"day={DAY}"
    (lake.requests / folder).mkdir()
    for number in range(3):
        shutil.copy(
            crowded.requests / folder / f"w-{START * 1_000_000}-0.parquet", lake.requests / folder / f"{number}.parquet"
        )
    for _ in range(2):
        SealedFiles(lake).add([])
        assert opened["footers"] == len(read_index(lake, folder)) == 3
        forget()


def test_the_index_is_written_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing goes on each few seconds; the index of a day is written for many of them together."""
    now, written = [0.0], []
    monkeypatch.setattr(lake_files, "listing", lambda lake, day, remember: written.append(day))
    index = SealedFiles(Lake(tmp_path), lambda: now[0])
    for _ in range(30):
        index.add([SealReport("w", 1, 0, 0, (DAY,))])
        now[0] += 2
    assert written == [DAY] * 2


def test_one_process_writes_the_index(crowded: Lake) -> None:
    """The pipelines write it too. What one of them leaves out costs a few openings alone."""
    from data.record.lake_index import _writer

    before = read_index(crowded, f"day={DAY}")
    assert before
    with _writer(crowded) as is_alone:
        assert is_alone
        write_index(crowded, f"day={DAY}", {})
    assert read_index(crowded, f"day={DAY}") == before
