"""Define what the declaration of a mart consists of; assets, checks and docs/marts.md derive from it."""

from __future__ import annotations

import json
import re
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import Any, Literal, NamedTuple

from data.marts import COARSER, coarser_view
from data.record.lake_reader import LAKE_SCHEMA
from pipelines.marts.plans import PLANS, names_plan
from pipelines.marts.quarantine import ROW_RULES

MAX_DIMENSIONS = 4
TIME = "hour"


class Dimension(NamedTuple):
    """Describe a column that rows are grouped by.

    ``kind`` is its SQL type. Rows have the first ``digits`` of longer texts, also those of former declarations.
    """

    name: str
    description: str
    kind: Literal["VARCHAR", "INTEGER", "BOOLEAN"] = "VARCHAR"
    digits: int = 0

    @property
    def shortened(self) -> str:
        """Return SQL that selects the column from rows that may have longer texts."""
        return f"left({self.name}, {self.digits}) AS {self.name}" if self.digits else self.name


class Measure(NamedTuple):
    """Describe a figure. ``how`` says how those of several rows with the same dimensions become one."""

    name: str
    description: str
    unit: str = ""
    how: Literal["sum", "min", "max"] = "sum"
    kind: Literal["BIGINT", "VARCHAR", "TIMESTAMP WITH TIME ZONE"] = "BIGINT"


def record_columns(sql: str) -> set[str]:
    """Return the columns of the record that ``sql`` names, outside its comments."""
    return set(re.findall(r"\w+", re.sub(r"--.*", "", sql))) & set(LAKE_SCHEMA.names)


def golden_rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of ``pipelines/golden/<name>.json``; times are text. ``requests`` are the golden requests."""
    found: list[dict[str, Any]] = json.loads(
        resources.files("pipelines").joinpath("golden", f"{name}.json").read_text()
    )
    return found


class MartCheck(NamedTuple):
    """State what must hold: a sentence, and SQL that selects the rows that contradict it.

    The SQL sees the requests of a batch as ``requests``, their number (``logged``) as ``requests_by_hour``, and the
    rows made from them under the marts' names. Some of the rows that it selects are shown, without the columns that
    name a key, a user or a session.
    """

    sentence: str
    sql: str

    @property
    def name(self) -> str:
        """Return the sentence as the name of an asset check."""
        return self.sentence.replace(" ", "_")


@cache
def _sql_text(name: str) -> str:
    """Return ``pipelines/sql/<name>.sql``, which each partition's key is made from."""
    return resources.files("pipelines").joinpath("sql", f"{name}.sql").read_text()


class Mart(NamedTuple):
    """Declare a mart: rows by hour (UTC) of arrival and up to four dimensions, from ``pipelines/sql/<name>.sql``.

    Rows of hours that the lake no longer has are kept when the declaration changes, and read by the names of their
    columns, unless ``row_version`` differs: raise it when a column of the same name and type means something else.
    """

    name: str
    concept: str
    description: str
    dimensions: tuple[Dimension, ...]
    measures: tuple[Measure, ...]
    checks: tuple[MartCheck, ...] = ()
    owner: str = "team:data"
    row_version: int = 1

    @property
    def sql(self) -> str:
        """Return the SQL that makes rows from ``requests``: the columns of the record and ``PLAN_COLUMNS``."""
        return _sql_text(self.name)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the columns that identify a row, in the order of the rows."""
        return (TIME, *(dimension.name for dimension in self.dimensions))

    @property
    def columns(self) -> dict[str, str]:
        """Return the SQL type of each column."""
        kinds = {TIME: "TIMESTAMP WITH TIME ZONE"} | {one.name: one.kind for one in self.dimensions}
        return kinds | {one.name: one.kind for one in self.measures}

    @property
    def golden(self) -> list[dict[str, Any]]:
        """Return the rows that the golden requests give, a part of the declaration."""
        return golden_rows(self.name)

    @property
    def fingerprint(self) -> str:
        """Identify the SQL, the columns and the rules of rows: partitions made with others are made again."""
        rules = [rule.wrong for rule in ROW_RULES]
        sql = self.sql + PLANS if names_plan(self.sql) else self.sql
        content = repr((sql, self.columns, [one.how for one in self.measures], rules, self.row_version))
        return blake2b(content.encode(), digest_size=8).hexdigest()

    def merge_sql(self, source: str) -> str:
        """Return SQL that joins the rows of ``source`` that have the same dimensions, in a total order."""
        keys = ", ".join(self.keys)
        figures = ", ".join(f"CAST({one.how}({one.name}) AS {one.kind}) AS {one.name}" for one in self.measures)
        return f"SELECT {keys}, {figures} FROM {source} GROUP BY {keys} ORDER BY {keys}"


class MartView(NamedTuple):
    """Declare a roll-up over marts from ``pipelines/sql/<file or name>.sql``, where ``{grain}`` stands for ``grain``.

    A ``stored`` one is computed when the marts are published, another when it is read: those that few pages read, and
    whose cost grows with the number of users.
    """

    name: str
    concept: str
    description: str
    sources: tuple[str, ...]
    checks: tuple[MartCheck, ...] = ()
    owner: str = "team:data"
    file: str = ""
    grain: str = ""
    stored: bool = True

    @property
    def sql(self) -> str:
        """Return the SQL that makes rows from marts."""
        return _sql_text(self.file or self.name).replace("{grain}", self.grain)

    @property
    def published_sql(self) -> str:
        """Return the same for a version of DuckDB: over rows by the grain where there are such, and without a zone,
        for which DuckDB truncates six times as fast."""
        sql = self.sql
        for source in self.sources:
            for period in COARSER.get(source, ()):
                if period == self.grain:
                    sql = re.sub(rf"\b{source}\b", coarser_view(source, period), sql)
        return re.sub(rf"date_trunc\('(\w+)', {TIME}\)", rf"date_trunc('\1', make_timestamp(epoch_us({TIME})))", sql)

    @property
    def golden(self) -> list[dict[str, Any]]:
        """Return the rows that the golden requests give, a part of the declaration."""
        return golden_rows(self.name)
