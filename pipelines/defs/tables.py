"""Derive the assets of the marts and their checks from the declarations."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.activity import FILES
from pipelines.defs.checks import check_results, check_spec
from pipelines.defs.days import DAYS, ONE_RUN, days_of_run, show_days
from pipelines.defs.log import sealed_requests
from pipelines.defs.policies import FRESHNESS, RETRIES
from pipelines.defs.quarantine import QUARANTINE_CHECKS, quarantine_results
from pipelines.defs.resources import LakeResource
from pipelines.marts.catalogue import MARTS, QUARANTINE
from pipelines.marts.checking import CheckFailed, Contradictions
from pipelines.marts.declaration import Mart, Measure
from pipelines.marts.lineage import lineage
from pipelines.marts.partitions import Progress

POOL = "mart"


def _spec(mart: Mart) -> dg.AssetSpec:
    described = {one.name: one.description for one in mart.dimensions}
    described |= {one.name: _with_unit(one) for one in mart.measures}
    columns = [dg.TableColumn(name, kind, described.get(name, "Hour, UTC")) for name, kind in mart.columns.items()]
    return dg.AssetSpec(
        mart.name,
        deps=[sealed_requests],
        group_name=mart.concept,
        description=mart.description,
        owners=[mart.owner],
        freshness_policy=FRESHNESS,
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)},
        kinds={"duckdb", "parquet"},
    )


def _with_unit(measure: Measure) -> str:
    said = not measure.unit or measure.unit in measure.description.lower()
    return measure.description if said else f"{measure.description} ({measure.unit})"


def _lineage(mart: Mart) -> dg.TableColumnLineage:
    """Return the columns of the requests that each column of a mart is computed from."""
    deps = {
        column: [dg.TableColumnDep(asset_key=sealed_requests.key, column_name=name) for name in sorted(names)]
        for column, names in lineage(mart.sql).items()
    }
    return dg.TableColumnLineage(deps_by_column=deps)


_CHECKS = [(check, mart.name) for mart in MARTS for check in mart.checks]


@dg.multi_asset(
    specs=[_spec(mart) for mart in MARTS],
    check_specs=[
        *QUARANTINE_CHECKS,
        *(check_spec(check, asset) for check, asset in _CHECKS),
    ],
    can_subset=True,
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    pool=POOL,
    retry_policy=RETRIES,
)
def marts(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Any]:
    """Make the partitions whose input changed, or the days of the run again, of all marts in one scan of the hours."""
    candidate, days = lake.candidate(context.run_id), days_of_run(context)
    if days is not None:
        context.log.info(f"{len(days)} days from {days[0]} to {days[-1]} are made again")
    try:
        built = candidate.build(_logged(context.log.info), days)
    except CheckFailed as error:
        yield from _results(context, error.evaluated, error.failed)
        raise dg.Failure(f"nothing is published: {error}", allow_retries=False) from None
    if days is None:
        show_days(context, sorted(context.selected_asset_keys), built.days)
    for mart in MARTS:
        if dg.AssetKey(mart.name) not in context.selected_asset_keys:
            continue
        work = built.work[mart.name]
        metadata: dict[str, Any] = {
            "dagster/row_count": sum(one.rows for one in built.marts[mart.name].files),
            "files_read": len(built.opened),
            "requests_read": built.requests,
            "partitions_written": work.written,
            "partitions_skipped": work.skipped,
            "rows_written": work.rows,
            "seconds": work.seconds,
            "dagster/column_lineage": _lineage(mart),
        }
        kept = built.kept[mart.name]
        if kept.kept:
            metadata["hours_of_former_declaration"] = kept.kept
        if kept.null_columns:
            metadata["null_in_some_of_them"] = " and ".join(kept.null_columns)
        if kept.lost:
            metadata["hours_without_rows"] = len(kept.lost)
        yield dg.MaterializeResult(asset_key=mart.name, metadata=metadata)
    for result in quarantine_results(lake.lake(), candidate.manifest(), datetime.now(UTC)):
        if dg.AssetCheckKey(dg.AssetKey(QUARANTINE), result.check_name or "") in context.selected_asset_check_keys:
            yield result
    # A check has no result where it had nothing to check: Dagster shows it as skipped.
    yield from _results(context, built.checked, {})


def _logged(log: Callable[[str], None]) -> Progress:
    """Return a progress that logs each twentieth of the files."""
    said = 0

    def progress(done: int, of: int) -> None:
        nonlocal said
        twentieths = 20 * done // of if of else 20
        if twentieths > said:
            said = twentieths
            log(f"{FILES.format(done=done, of=of)} ({5 * said} %)")

    return progress


def _results(
    context: dg.AssetExecutionContext, evaluated: Collection[str], failed: Mapping[str, Contradictions]
) -> Iterator[dg.AssetCheckResult]:
    return check_results(context, ((check, asset) for check, asset in _CHECKS if check.sentence in evaluated), failed)
