"""Data sets as folders of csv files: whatever regions, days and models they are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl


def files(folder: Path) -> list[Path]:
    """Return the CSV files in ``folder``, sorted."""
    return sorted(folder.glob("*.csv"))


def read(folder: Path, columns: Sequence[str], **options: Any) -> pl.DataFrame:
    """``columns`` of all files, one under the other; ``options`` are those of ``polars.read_csv``."""
    return pl.concat([pl.read_csv(file, **options).select(columns) for file in files(folder)])
