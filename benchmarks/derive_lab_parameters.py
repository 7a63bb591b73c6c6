"""Prints ``lab/parameters.toml`` from the public measurements it is drawn from.

    python benchmarks/derive_lab_parameters.py DATASETS > lab/parameters.toml

DATASETS holds ``openrouter_endpoint_stats_2025-07/endpoint_stats.csv`` (MIT), ``llmperf/requests_7b_13b.csv``
(Apache-2.0) and ``azure_llm_2023/AzureLLMInferenceTrace_conv.csv`` (CC-BY-4.0, Microsoft Azure).
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

LEVELS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]


def main() -> None:
    root = Path(sys.argv[1])
    stats = pl.read_csv(root / "openrouter_endpoint_stats_2025-07/endpoint_stats.csv")
    requests = pl.read_csv(root / "llmperf/requests_7b_13b.csv").with_columns(
        pl.col("error_code").cast(pl.Float64).cast(pl.Int64).fill_null(0)
    )
    azure = pl.read_csv(root / "azure_llm_2023/AzureLLMInferenceTrace_conv.csv", try_parse_dates=True)
    print("# Made by benchmarks/derive_lab_parameters.py. Quantiles over endpoints, not rows of any data set.")
    print("# Sources: endpoint stats of July 2025 (MIT), LLMPerf requests (Apache-2.0),")
    print("# Azure LLM inference trace 2023, conversation (CC-BY-4.0).")
    _table("ttft_s", stats.filter(pl.col("p50_latency") > 0)["p50_latency"] / 1000, trim=True)
    _table("tokens_per_s", stats.filter(pl.col("p50_throughput") > 0)["p50_throughput"], trim=True)
    good = requests.filter(pl.col("error_code").is_null() | (pl.col("error_code") == 0)).filter(pl.col("ttft_s") > 0)
    spread = good.group_by("provider", "model").agg(
        pl.col("ttft_s").log().std().alias("ttft"),
        pl.col("inter_token_latency_s").log().std().alias("tokens"),
    )
    _table("ttft_sigma", spread["ttft"].drop_nulls())
    _table("tokens_sigma", spread["tokens"].drop_nulls())
    rates = requests.group_by("provider", "model").agg(
        ((pl.col("error_code") != 0) & (pl.col("error_code") != 429)).mean().alias("errors"),
        (pl.col("error_code") == 429).mean().alias("limited"),
    )
    _table("error_rate", rates["errors"])
    _table("rate_limit_rate", rates["limited"])
    gaps = azure["TIMESTAMP"].sort().diff().drop_nulls().dt.total_microseconds() / 1e6
    print(f"\n[arrivals]\ncoefficient_of_variation = {gaps.std() / gaps.mean():.3f}")
    for name, column in (("prompt_tokens", "ContextTokens"), ("completion_tokens", "GeneratedTokens")):
        logs = azure.filter(pl.col(column) > 0)[column].log()
        print(f"{name} = {{ mean_log = {logs.mean():.3f}, sigma_log = {logs.std():.3f} }}")
    print("\n# Authored, compressed so that a short session sees outages; no source.")
    print("[outage]\nevery_s = [600, 3600]\nlength_s = [10, 60]")


def _table(name: str, values: pl.Series, *, trim: bool = False) -> None:
    ends = (0.02, 0.98) if trim else (0.0, 1.0)
    found = [values.quantile(min(max(level, ends[0]), ends[1]), "linear") for level in LEVELS]
    print(f"\n[{name}]\nlevels = {LEVELS}\nvalues = {[round(value or 0.0, 4) for value in found]}")


main()
