"""Query providers over time: uptime with and without the router, 429s, latency by hour and country, and prices."""

from __future__ import annotations

import duckdb
import polars as pl

from dashboards.queries.histograms import medians
from dashboards.queries.periods import HOUR, period_sql, rows_between
from dashboards.queries.providers import METRICS
from dashboards.time_range import Span, TimeRange

ROUTER = "Portolan"
RATE_LIMITED = "rate_limit_exceeded"
# Errors that say nothing about a provider, as in the mart of uptime: the client's own, and what the client cut short.
NOT_COUNTED = (
    "cancelled", "client_deadline", "content_policy_violation", "context_length_exceeded", "invalid_prompt",
    "invalid_request", "max_tokens_exceeded", "payload_too_large", "permission_denied", "refusal", "string_too_long",
    "token_limit_exceeded", "unprocessable",
)  # fmt: skip
METERS = ("prompt", "completion", "input_cache_read")


def uptimes(mart: duckdb.DuckDBPyConnection, model: str | None, time_range: Span) -> pl.DataFrame:
    """Return ``period, name, value, requests``: the uptime of each provider's attempts, and of the router's requests.

    Both leave out 429s and the client's own errors; ``requests`` are the attempts or requests that count. The router
    is named ``ROUTER``.
    """
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, provider AS name,
            sum(succeeded) / sum(succeeded + failed) AS value,
            CAST(sum(succeeded + failed) AS BIGINT) AS requests
        FROM {rows_between("uptime_hourly", *time_range)} WHERE ($model IS NULL OR model = $model)
        GROUP BY 1, 2 HAVING sum(succeeded + failed) > 0
        UNION ALL
        SELECT {period_sql(time_range.grain)}, '{ROUTER}',
            sum(requests) FILTER (WHERE error_type IS NULL) / sum(requests),
            CAST(sum(requests) AS BIGINT)
        FROM {rows_between("outcomes_hourly", *time_range)}
        WHERE model IS NOT NULL AND ($model IS NULL OR model = $model)
            AND (error_type IS NULL OR error_type NOT IN {(*NOT_COUNTED, RATE_LIMITED)})
        GROUP BY 1 ORDER BY 1, 2
        """,
        {"model": model},
    ).pl().with_columns(pl.col("value").fill_null(0.0))  # fmt: skip


def rate_limits(mart: duckdb.DuckDBPyConnection, model: str | None, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, name, value, requests``: the share of each provider's attempts that met a 429."""
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, provider AS name, sum(rate_limited) / sum(attempts) AS value,
            CAST(sum(attempts) AS BIGINT) AS requests
        FROM {rows_between("uptime_hourly", *time_range)} WHERE ($model IS NULL OR model = $model)
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        {"model": model},
    ).pl()


def latency_by_hour(
    mart: duckdb.DuckDBPyConnection, model: str | None, metric: str, time_range: TimeRange
) -> pl.DataFrame:
    """Return ``hour, name, value, requests``: the median TTFT (s) or throughput (tokens/s) by hour of day, UTC."""
    rows = mart.execute(
        f"""
        SELECT CAST(extract('hour' FROM {HOUR}) AS BIGINT) AS hour, provider AS name, bucket,
            CAST(sum(n) AS BIGINT) AS n
        FROM latency_hourly
        WHERE metric = $metric AND ($model IS NULL OR model = $model) AND hour >= $begin AND hour < $end
        GROUP BY ALL
        """,
        _asked(model, time_range) | {"metric": metric},
    ).pl()
    return medians(rows, "hour", METRICS[metric])


def latency_by_country(rows: duckdb.DuckDBPyConnection, model: str | None, time_range: TimeRange) -> pl.DataFrame:
    """Return ``country, name, value, requests``: the median TTFT in seconds, from single requests."""
    return rows.execute(
        """
        SELECT country, provider AS name, quantile_disc(ttft_us, 0.5) / 1e6 AS value, count(*) AS requests
        FROM lake_rows WHERE country IS NOT NULL AND provider IS NOT NULL AND ttft_us > 0
            AND ($model IS NULL OR model = $model) AND hour >= $begin AND hour < $end
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        _asked(model, time_range),
    ).pl()


def rescued(mart: duckdb.DuckDBPyConnection, model: str | None, time_range: Span) -> pl.DataFrame:
    """Return ``provider, requests, alone, answered, rescued`` by the provider that was tried first.

    ``alone`` is the share whose first attempt succeeded, ``answered`` the share of requests without error in the end,
    429s included; requests that the client cut short or got wrong are left out.
    """
    return mart.execute(
        """
        SELECT provider, CAST(sum(requests) AS BIGINT) AS requests, sum(first_succeeded) / sum(requests) AS alone,
            sum(answered) / sum(requests) AS answered, CAST(sum(rescued) AS BIGINT) AS rescued
        FROM fallbacks_hourly WHERE ($model IS NULL OR model = $model) AND hour >= $begin AND hour < $end
        GROUP BY 1 ORDER BY requests DESC, provider
        """,
        _asked(model, time_range),
    ).pl()


def prices(mart: duckdb.DuckDBPyConnection, model: str | None, meter: str, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, name, value, requests``: mean USD per million units of a meter at each provider.

    ``requests`` is null, for the mart counts units.
    """
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, provider AS name, sum(nano) / sum(quantity) / 1000 AS value,
            CAST(NULL AS BIGINT) AS requests
        FROM {rows_between("charges_hourly", *time_range)}
        WHERE provider IS NOT NULL AND meter = $meter AND ($model IS NULL OR model = $model)
        GROUP BY 1, 2 HAVING sum(quantity) > 0 ORDER BY 1, 2
        """,
        {"model": model, "meter": meter},
    ).pl()


def price_changes(mart: duckdb.DuckDBPyConnection, model: str | None, time_range: TimeRange) -> pl.DataFrame:
    """Return ``day, provider, model, meter, before, after, change`` of prices that changed by 0.1 % or more.

    USD per million units, the newest first; what is rounded to nano-USD moves a mean by less.
    """
    return mart.execute(
        """
        SELECT day, provider, model, meter, nano_per_unit_before / 1000 AS before, nano_per_unit / 1000 AS after,
            nano_per_unit / nullif(nano_per_unit_before, 0) - 1 AS change
        FROM prices_daily WHERE provider IS NOT NULL AND day >= $begin AND day < $end
            AND ($model IS NULL OR model = $model) AND abs(nano_per_unit - nano_per_unit_before) >=
            0.001 * nano_per_unit_before
        ORDER BY day DESC, provider, model, meter LIMIT 200
        """,
        _asked(model, time_range),
    ).pl()


def _asked(model: str | None, time_range: Span) -> dict[str, object]:
    return {"model": model, "begin": time_range.begin, "end": time_range.end}
