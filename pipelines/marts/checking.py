"""Evaluate the checks of marts and roll-ups, and take samples of the rows that contradict one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import duckdb

from pipelines.marts.declaration import MartCheck
from pipelines.marts.quarantine import SAMPLES

# They would tell whose requests the rows count.
PRIVATE = frozenset({"key_hash", "user_hash", "session", "session_id"})
MAX_TEXT = 200


class Contradictions(NamedTuple):
    """Count the rows that contradict a check; ``samples`` are the first of them, with their values as text."""

    number: int
    samples: list[dict[str, str]]


class CheckFailed(Exception):
    """Raised when rows contradict a check; nothing is published then.

    ``failed`` has the contradictions by the sentence of the check, ``evaluated`` the sentences of all checks.
    """

    def __init__(self, failed: Mapping[str, Contradictions], evaluated: Iterable[str]) -> None:
        sentences = "; ".join(f"{sentence} ({found.number} contradictions)" for sentence, found in failed.items())
        super().__init__(f"the mart was not published, for this does not hold: {sentences}")
        self.failed = dict(failed)
        self.evaluated = frozenset(evaluated)


def judge(connection: duckdb.DuckDBPyConnection, checks: Iterable[MartCheck]) -> None:
    """Evaluate ``checks``. Raises ``CheckFailed``."""
    failed: dict[str, Contradictions] = {}
    evaluated = list(checks)
    for check in evaluated:
        if count := number(connection, f"SELECT count(*) FROM ({check.sql})"):
            failed[check.sentence] = Contradictions(count, _samples(connection, check.sql))
    if failed:
        raise CheckFailed(failed, (check.sentence for check in evaluated))


def number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the single number that ``sql`` selects, 0 for null."""
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0


def _samples(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, str]]:
    found = connection.execute(f"SELECT * FROM ({sql}) ORDER BY ALL LIMIT {SAMPLES}")
    names = [column[0] for column in found.description]
    return [
        {name: str(value)[:MAX_TEXT] for name, value in zip(names, row, strict=True) if name not in PRIVATE}
        for row in found.fetchall()
    ]
