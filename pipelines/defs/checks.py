"""Derive blocking asset checks from the checks of marts and roll-ups."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from pipelines.marts.checking import Contradictions
from pipelines.marts.declaration import MartCheck


def _is_no_skipped_check(record: logging.LogRecord) -> bool:
    return "emitted no result" not in record.getMessage()


# A check has no result where nothing was new, and Dagster shows it as skipped. It also warns of each, at each refresh.
logging.getLogger("dagster._core.execution.plan.active").addFilter(_is_no_skipped_check)


def check_spec(check: MartCheck, asset: str) -> dg.AssetCheckSpec:
    """Return the asset check of ``check``, which blocks publication."""
    return dg.AssetCheckSpec(check.name, asset=asset, blocking=True, description=f"{check.sentence.capitalize()}.")


def check_results(
    context: dg.AssetExecutionContext, checks: Iterable[tuple[MartCheck, str]], failed: Mapping[str, Contradictions]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of those of ``checks``, each with its asset, that the run selects.

    ``failed`` has the contradictions by the sentence of the check.
    """
    for check, asset in checks:
        if dg.AssetCheckKey(dg.AssetKey(asset), check.name) in context.selected_asset_check_keys:
            yield _result(check, asset, failed.get(check.sentence))


def _result(check: MartCheck, asset: str, found: Contradictions | None) -> dg.AssetCheckResult:
    """Return the result of a check: the number of rows that contradict it, and some of them as a table."""
    metadata: dict[str, Any] = {"contradictions": found.number if found else 0}
    if found:
        metadata["samples"] = samples_table(found.samples)
    return dg.AssetCheckResult(check_name=check.name, asset_key=asset, passed=not found, metadata=metadata)


def samples_table(samples: list[dict[str, str]]) -> dg.TableMetadataValue:
    """Return rows as a table that Dagster shows on the page of a check."""
    return dg.MetadataValue.table([dg.TableRecord(sample) for sample in samples])
