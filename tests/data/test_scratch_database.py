"""Queries over files keep what does not fit into memory in the data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.lake import Lake
from data.scratch_database import open_scratch


def test_a_query_that_does_not_fit_into_memory_writes_to_the_data_directory_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, elsewhere = Lake(tmp_path / "data").create(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with open_scratch(lake) as connection:
        connection.execute("SET memory_limit = '40MB'; SET threads = 1")
        values = "hash(range) AS one, hash(range + 1) AS two"
        connection.execute(f"CREATE TABLE numbers AS SELECT {values} FROM range(4_000_000)")
        assert any(lake.spill.iterdir())
        assert connection.execute("SELECT count(*) FROM numbers").fetchall() == [(4_000_000,)]
    assert list(elsewhere.iterdir()) == []
