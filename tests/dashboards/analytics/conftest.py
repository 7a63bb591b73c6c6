"""Make a synthetic market that ends now, published, with its rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl
import pytest

from data.lake import Lake
from data.record.lake_files import listing
from lab.market.write import fill_demo_lake
from pipelines.build import build_mart


class MarketLake(NamedTuple):
    """Hold a published lake, its requests, and the moment at which they end."""

    lake: Lake
    rows: pl.DataFrame
    end: datetime


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> MarketLake:
    lake, end = Lake(tmp_path_factory.mktemp("analytics")), datetime.now(UTC)
    assert fill_demo_lake(lake, end, 3, 6_000) == 6_000
    build_mart(lake, end)
    rows = pl.concat([pl.read_parquet(one.path) for one in listing(lake).files], how="diagonal_relaxed")
    return MarketLake(lake, rows, end)
