"""Define the checks that warn of requests and files that were set aside; the rest is published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import Lake
from pipelines.defs.checks import samples_table
from pipelines.marts.catalogue import QUARANTINE
from pipelines.marts.manifest import Manifest, read_manifest
from pipelines.marts.quarantine import FUTURE_ADVICE, FUTURE_SENTENCE, ROW_RULES, SAMPLES

# Older requests stay set aside, but a check does not warn of them for ever.
RECENT = timedelta(days=31)
FILES_SENTENCE = "every file can be read"
FILES_ADVICE = (
    "Restore the file from a copy, or remove it from lake/requests; it counts again as soon as it can be read."
)
HOURS_SENTENCE = "every hour that was published keeps its rows"
HOURS_ADVICE = (
    "The lake no longer has these requests, and the mart has no rows of them that it can read: it was declared later, "
    "its rows mean something else now, or a partition file was deleted. Files with rows of another meaning stay."
)


class _Found(NamedTuple):
    """Hold what contradicts one sentence: how many, of them recent ones, and samples as rows of a table."""

    sentence: str
    advice: str
    number: int
    recent: int
    samples: list[dict[str, str]]
    what: str = "requests"
    state: str = "set aside"


def _name(sentence: str) -> str:
    return sentence.replace(" ", "_")


QUARANTINE_CHECKS = [
    dg.AssetCheckSpec(_name(sentence), asset=QUARANTINE, description=f"{sentence.capitalize()}. Otherwise: {advice}")
    for sentence, advice in (
        *((rule.sentence, rule.advice) for rule in ROW_RULES),
        (FUTURE_SENTENCE, FUTURE_ADVICE),
        (FILES_SENTENCE, FILES_ADVICE),
        (HOURS_SENTENCE, HOURS_ADVICE),
    )
]


def quarantine_results(lake: Lake, manifest: Manifest, now: datetime) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for each of ``QUARANTINE_CHECKS``: what the version of ``manifest`` leaves out.

    One that does not pass is a warning, which keeps nothing from being published.
    """
    for found in _all_found(lake, manifest, now):
        metadata: dict[str, Any] = {f"{found.what}_{_name(found.state)}": found.number}
        if found.what == "requests":
            metadata[f"of_the_last_{RECENT.days}_days"] = found.recent
        if found.samples:
            metadata |= {"samples": samples_table(found.samples), "what_to_do": found.advice}
        yield dg.AssetCheckResult(
            check_name=_name(found.sentence),
            asset_key=QUARANTINE,
            passed=not found.recent,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=metadata,
            description=f"{found.number} {found.what} are {found.state}. {found.advice}" if found.number else None,
        )


def _all_found(lake: Lake, manifest: Manifest, now: datetime) -> Iterator[_Found]:
    rows = _rows(lake, manifest)
    for rule in ROW_RULES:
        of_rule = rows.filter(pc.field("reason") == rule.reason)
        latest = of_rule.slice(0, SAMPLES).to_pylist()
        recent = of_rule.filter(pc.field("hour") >= pa.scalar(now.astimezone(UTC) - RECENT))
        yield _Found(
            rule.sentence,
            rule.advice,
            pc.sum(of_rule["requests"]).as_py() or 0,
            pc.sum(recent["requests"]).as_py() or 0,
            [{"hour": row["hour"].isoformat(), "generation_id": str(row["generation_id"])} for row in latest],
        )
    future = manifest.future
    early = [{"started_at": moment, "generation_id": name} for moment, name in future.samples]
    yield _Found(FUTURE_SENTENCE, FUTURE_ADVICE, future.requests, future.requests, early)
    files = [{"file": file, "reason": reason} for file, reason in manifest.left_out]
    yield _Found(FILES_SENTENCE, FILES_ADVICE, len(files), len(files), files[:SAMPLES], "files")
    yield _lost_hours(manifest, read_manifest(lake))


def _lost_hours(manifest: Manifest, published: Manifest) -> _Found:
    """Return the hours of which marts have no rows; those are recent that the published version still has."""
    known = {name: set(made.lost) for name, made in published.marts.items()}
    new = {
        name: [hour for hour in made.lost if hour not in known.get(name, ())] for name, made in manifest.marts.items()
    }
    samples = [
        {"mart": name, "hours": str(len(made.lost)), "first": made.lost[0], "last": made.lost[-1]}
        for name, made in manifest.marts.items()
        if made.lost
    ]
    number = sum(len(made.lost) for made in manifest.marts.values())
    return _Found(
        HOURS_SENTENCE, HOURS_ADVICE, number, sum(map(len, new.values())), samples[:SAMPLES], "hours", "without rows"
    )


def _rows(lake: Lake, manifest: Manifest) -> pa.Table:
    """Return the rows of the quarantine of a version, the latest first."""
    made = manifest.marts.get(QUARANTINE)
    paths = [lake.root / one.key for one in made.files if one.rows] if made else []
    tables = [pq.read_table(path) for path in paths] or [_EMPTY]
    return pa.concat_tables(tables, promote_options="permissive").sort_by(
        [("hour", "descending"), ("generation_id", "ascending")]
    )


_EMPTY = pa.table(
    {
        "hour": pa.array([], pa.timestamp("us", "UTC")),
        "reason": pa.array([], pa.string()),
        "generation_id": pa.array([], pa.string()),
        "requests": pa.array([], pa.int64()),
    }
)
