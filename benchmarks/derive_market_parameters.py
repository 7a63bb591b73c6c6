"""Prints ``models/selection/simulation/market.toml`` from the public measurements it is drawn from.

    python -m benchmarks.derive_market_parameters DATASETS > models/selection/simulation/market.toml

DATASETS holds ``openrouter_endpoint_stats_2025-07/endpoint_stats.csv`` (MIT), ``llmperf/requests_7b_13b.csv``
(Apache-2.0), ``thefastest_ai/panel_cdg_iad.csv`` (MIT) and ``azure_llm_2023/AzureLLMInferenceTrace_conv.csv``
(CC-BY-4.0, Microsoft Azure).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import polars as pl

LEVELS = [0.0, 0.25, 0.5, 0.75, 1.0]
MIN_ENDPOINTS, MIN_ROUNDS = 4, 10
LAG_S = (0, 4 * 3600)

AUTHORED = """
# Authored; no source but where one is named.
[authored]
# Log-normal through the median and 90th percentile over 246 endpoints of 31 providers, July 2026 (orcap).
error_rate = { median = 0.009, p90 = 0.067 }
# The same of answers 429, as met by a small share of an endpoint's traffic: time in which others use it up. That it
# comes in spells of this mean length is authored.
busy_share = { median = 0.036, p90 = 0.44 }
busy_spell_s = 30.0
capacity = { median = 1.0, sd = 0.6, least = 0.2 } # share of its model's traffic that an endpoint can carry
burst_s = 10.0 # of an endpoint's capacity is there at once
error_delay_s = 1.0
rate_limit_delay_s = 0.2
tools_share = 0.2
malformed_rate = 0.02
regions = ["us", "eu", "asia"]"""


def main() -> None:
    root = Path(sys.argv[1])
    print("# Made by benchmarks/derive_market_parameters.py: moments of logarithms, not rows of any data set.")
    _levels(pl.read_csv(root / "openrouter_endpoint_stats_2025-07/endpoint_stats.csv"))
    sigma = _spread(pl.read_csv(root / "llmperf/requests_7b_13b.csv", schema_overrides={"error_code": pl.Float64}))
    _drift(pl.read_csv(root / "thefastest_ai/panel_cdg_iad.csv", try_parse_dates=True), sigma)
    _traffic(pl.read_csv(root / "azure_llm_2023/AzureLLMInferenceTrace_conv.csv", try_parse_dates=True))
    print(AUTHORED)


def _levels(stats: pl.DataFrame) -> None:
    columns = {"ttft_s": "p50_latency", "tokens_per_s": "p50_throughput", "completion_usd": "pricing_completion"}
    found = stats.filter(*(pl.col(column) > 0 for column in (*columns.values(), "pricing_prompt")))
    found = found.filter(pl.len().over("model_slug") >= MIN_ENDPOINTS)
    models = found["model_slug"].n_unique()
    print(f"\n# Endpoint stats of July 2025 (MIT): {found.height} endpoints of {models} models with 4 or more.")
    print("# between: sd of models' mean logarithms; within: sd of the logarithms about them.")
    residuals = []
    for name, column in columns.items():
        logs = found.select("model_slug", value=pl.col(column).log())
        means = logs.group_by("model_slug").agg(pl.col("value").mean())["value"]
        residual = logs["value"] - logs.select(pl.col("value").mean().over("model_slug"))["value"]
        residuals.append(residual.to_numpy())
        within = math.sqrt(float((residual**2).sum()) / (found.height - models))
        median = float(np.median(found[column])) / (1000 if name == "ttft_s" else 1)
        print(f"{name} = {{ median = {median:.4g}, between = {_sd(means):.3f}, within = {within:.3f} }}")
    ratio = float(np.median(found["pricing_prompt"] / found["pricing_completion"]))
    print(f"prompt_to_completion_price = {ratio:.3f}")
    print("# Correlations of the three within a model: TTFT with throughput, TTFT with price, throughput with price.")
    r = np.corrcoef(residuals)
    print(f"correlations = [{r[0, 1]:.3f}, {r[0, 2]:.3f}, {r[1, 2]:.3f}]")


def _spread(requests: pl.DataFrame) -> float:
    good = requests.filter((pl.col("error_code").fill_null(0) == 0) & (pl.col("ttft_s") > 0))
    spread = good.group_by("provider", "model").agg(
        ttft=pl.col("ttft_s").log().std(), tokens=pl.col("inter_token_latency_s").log().std()
    )
    print(f"\n# LLMPerf requests (Apache-2.0): sd of logarithms within an endpoint, quantiles over {spread.height}.")
    print(f"[spread]\nlevels = {LEVELS}")
    for name, column in (("ttft_sigma", "ttft"), ("tokens_sigma", "tokens")):
        print(f"{name} = {[round(float(np.quantile(spread[column].to_numpy(), level)), 4) for level in LEVELS]}")
    return float(np.median(spread["ttft"]))


def _drift(panel: pl.DataFrame, sigma: float) -> None:
    """Estimate the slow drift: the panel's variance between rounds beyond that of single calls, and its half-life."""
    key = ["model", "provider", "region"]
    logs = panel.sort("run_time").with_columns(value=pl.col("ttft").log())
    logs = logs.with_columns(residual=pl.col("value") - pl.col("value").mean().over(key))
    logs = logs.with_columns(
        before=pl.col("residual").shift(1).over(key),
        lag=(pl.col("run_time") - pl.col("run_time").shift(1).over(key)).dt.total_seconds(),
    )
    spread = logs.group_by(key).agg(pl.len(), pl.col("residual").std()).filter(pl.col("len") >= MIN_ROUNDS)
    total = float(np.median(spread["residual"]))
    slow = math.sqrt(max(total**2 - sigma**2, 0.0))
    near = logs.filter((pl.col("lag") >= LAG_S[0]) & (pl.col("lag") < LAG_S[1]))
    correlation = float(np.corrcoef(near["residual"], near["before"])[0, 1]) * total**2 / slow**2
    half_life = float(np.median(near["lag"])) * math.log(2) / -math.log(correlation)
    print("\n# thefastest.ai, April 2024 (MIT): the same endpoint in another round, less the spread of single calls.")
    print(f"[drift]\nsd = {slow:.3f}\nhalf_life_s = {half_life:.0f}")


def _traffic(azure: pl.DataFrame) -> None:
    gaps = (azure["TIMESTAMP"].sort().diff().drop_nulls().dt.total_microseconds() / 1e6).to_numpy()
    print("\n# Azure LLM inference trace 2023, conversation (CC-BY-4.0).\n[traffic]")
    print(f"requests_per_s = {1 / gaps.mean():.2f}\ncoefficient_of_variation = {gaps.std() / gaps.mean():.3f}")
    for name, column in (("prompt_tokens", "ContextTokens"), ("completion_tokens", "GeneratedTokens")):
        logs = azure.filter(pl.col(column) > 0)[column].log()
        print(f"{name} = {{ mean_log = {logs.mean():.3f}, sigma_log = {_sd(logs):.3f} }}")


def _sd(values: pl.Series) -> float:
    return float(np.std(values.to_numpy(), ddof=1))


if __name__ == "__main__":
    main()
