"""The pointer to the published mart names a file that exists, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path).create()


def test_the_published_mart_is_found_wherever_the_folder_lies(lake: Lake, tmp_path: Path) -> None:
    assert lake.current_mart() is None
    (lake.marts / "marts-1.duckdb").touch()
    lake.publish_mart(lake.marts / "marts-1.duckdb")
    assert lake.current_mart() == lake.marts / "marts-1.duckdb"
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert Lake(moved).current_mart() == moved / "marts/marts-1.duckdb"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"target": 3}', b'{"target": "gone.duckdb"}'])
def test_a_damaged_pointer_names_no_mart(lake: Lake, content: bytes) -> None:
    (lake.marts / "current.json").write_bytes(content)
    assert lake.current_mart() is None


def test_a_path_outside_the_data_directory_has_no_key(lake: Lake) -> None:
    assert lake.key(lake.requests / "day=1" / "a.parquet") == "lake/requests/day=1/a.parquet"
    with pytest.raises(ValueError, match="subpath"):
        lake.key(Path("/elsewhere"))


def test_a_mart_outside_its_folder_cannot_be_published(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="subpath"):
        lake.publish_mart(tmp_path / "other.duckdb")
