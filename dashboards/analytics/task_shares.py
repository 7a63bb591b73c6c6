"""Answer what requests are about: shares of task tags and of their groups over the last days that have ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl

WINDOW_DAYS = 7
MODELS_SHOWN = 10
GENERAL = "general"


def task_shares(mart: duckdb.DuckDBPyConnection, now: datetime, few: int) -> dict[str, Any]:
    """Return shares of requests and tokens by tag, by group of tags, and by model within each tag.

    A tag, and a model within it, with fewer than ``few`` requests is left out.
    """
    end = now.astimezone(UTC).date()
    rows = mart.execute(
        """
        SELECT task_tag AS tag, model, CAST(sum(requests) AS BIGINT) AS requests, CAST(sum(tokens) AS BIGINT) AS tokens
        FROM tags_hourly WHERE task_tag IS NOT NULL AND hour >= ? AND hour < ? GROUP BY 1, 2
        """,
        [end - timedelta(days=WINDOW_DAYS), end],
    ).pl()
    rows = rows.with_columns(
        macro=pl.when(pl.col("tag").str.contains(":")).then(pl.col("tag").str.split(":").list.first())
        .otherwise(pl.lit(GENERAL)),
        of_tag=pl.col("requests").sum().over("tag"),
    ).filter(pl.col("of_tag") >= few)  # fmt: skip
    data = {
        "window_days": WINDOW_DAYS,
        "as_of": (end - timedelta(days=1)).isoformat(),
        "classifications": _tags(rows, few),
        "macro_categories": _groups(rows),
    }
    return {"data": data}


def _tags(rows: pl.DataFrame, few: int) -> list[dict[str, Any]]:
    tags = rows.group_by("macro", "tag").agg(pl.col("requests", "tokens").sum())
    tags = tags.with_columns(
        usage_share=_share("requests"),
        token_share=_share("tokens"),
        category_usage_share=pl.col("requests") / pl.col("requests").sum().over("macro"),
        category_token_share=_share("tokens", "macro"),
    ).sort("requests", "tag", descending=[True, False])
    models = rows.with_columns(
        tag_usage_share=pl.col("requests") / pl.col("of_tag"), tag_token_share=_share("tokens", "tag")
    ).filter((pl.col("requests") >= few) & pl.col("model").is_not_null())
    models = models.sort("requests", "model", descending=[True, False])
    found = []
    for row in tags.to_dicts():
        shown = models.filter(pl.col("tag") == row["tag"]).head(MODELS_SHOWN)
        found.append(
            {
                "tag": row["tag"],
                "display_name": _display(row["tag"]),
                "macro_category": row["macro"],
                **{name: row[name] for name in row if name.endswith("_share")},
                "models": [
                    {"id": one["model"], **{name: one[name] for name in ("tag_usage_share", "tag_token_share")}}
                    for one in shown.to_dicts()
                ],
            }
        )
    return found


def _groups(rows: pl.DataFrame) -> list[dict[str, Any]]:
    groups = rows.group_by("macro").agg(pl.col("requests", "tokens").sum())
    groups = groups.with_columns(usage_share=_share("requests"), token_share=_share("tokens"))
    return [
        {
            "key": row["macro"],
            "label": row["macro"].capitalize(),
            "usage_share": row["usage_share"],
            "token_share": row["token_share"],
        }
        for row in groups.sort("requests", "macro", descending=[True, False]).to_dicts()
    ]


def _share(column: str, over: str | None = None) -> pl.Expr:
    """Return the share of ``column`` in its sum, 0 where that is 0."""
    total = pl.col(column).sum() if over is None else pl.col(column).sum().over(over)
    return pl.when(total > 0).then(pl.col(column) / total).otherwise(0.0)


def _display(tag: str) -> str:
    return tag.rpartition(":")[2].replace("_", " ").capitalize()
