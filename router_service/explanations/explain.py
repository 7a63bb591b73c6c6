"""Convert a log record to an explanation: the request, its candidates, the decision and the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from router_service.explanations.replay import replay
from router_service.explanations.summary import summary
from router_service.planning.eligibility import EXCLUDED_BY

LIST_PRICE = "list price in USD per million tokens, three of prompt to one of completion"
SCORES = {
    "adjusted": "USD per million tokens of this request with errors, 429s, malformed tool calls and latency "
    "priced in; for endpoints of probability 0 the list price",
    "sticky": "the figure of the strategy that would have chosen without the conversation",
    **dict.fromkeys(("price", "exacto", "learned", "wished", "sort", "order"), LIST_PRICE),
}
# Why an endpoint was excluded.
SENTENCES = {
    "data_region": "It is not known to process data only where request, key, host and installation allow.",
    "data_policy:training": "data_collection is deny, and the provider is not known to train on no data.",
    "data_policy:zdr": "zdr is set, and the provider is not known to retain no data.",
    "distillation": "enforce_distillable_text is set, and the model's author is not known to allow distillation.",
    "allowed_providers": "It is not in provider.only.",
    "ordered_providers": "It is not in provider.order, and allow_fallbacks is false.",
    "ignored_providers": "It is in provider.ignore.",
    "quantization": "Its quantization is not in provider.quantizations.",
    "min_quantization": "Its quantization has fewer bits than provider.min_quantization, or is not known.",
    "moderated": "provider.is_moderated is false, and its provider is known to filter content.",
    "not_moderated": "provider.is_moderated is true, and its provider is not known to filter content.",
    "max_price": "Its list price is above provider.max_price.",
    "require_parameters": "require_parameters is set, and it does not support every parameter of the request.",
    "context_length": "The prompt, estimated from its bytes, does not fit into its context.",
    "max_tokens": "Its limit of completion tokens is below max_tokens.",
    "disabled": "It is disabled in this installation.",
    "no_price": "It has no known price.",
    "service_tier": "Its service tier is not one that the request allows.",
}


def explain(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Explain ``row``, a record as ``telemetry.lookup`` returns it.

    ``names`` are the providers' display names by slug. Times are in ms, costs in USD.
    """
    candidates = row["candidates"]
    return {
        "id": row["generation_id"],
        "created_at": datetime.fromtimestamp(row["started_at"] / 1e6, UTC).isoformat(),
        "requested_model": row["requested_model"],
        "model": row["model"],
        "endpoint": row["endpoint"],
        "client_region": row.get("client_region"),
        "data_region": row.get("data_region"),
        "stream": row["stream"],
        "status": row["status"],
        "error_type": row["error_type"],
        "finish_reason": row["finish_reason"],
        "cancelled": row["cancelled"],
        "duration_ms": row["duration_us"] / 1000,
        "decision": _decision(row),
        "candidates": [
            {
                "endpoint": c["endpoint"],
                "provider": provider_name(c["endpoint"], names),
                "probability": c["probability"],
                "score": c["score"],
            }
            for c in candidates
            if c["excluded_by"] is None
        ],
        "excluded": [exclusion(c["endpoint"], c["excluded_by"], names) for c in candidates if c["excluded_by"]],
        "attempts": [_attempt(attempt, names) for attempt in row["attempts"]],
        "hedge_cost": None if row.get("hedge_cost_nano") is None else row["hedge_cost_nano"] / 1e9,
        "replay": None if row["draw"] is None else replay(row)._asdict(),
        "summary": summary(row, names),
    }


def exclusion(endpoint: str, reason: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return one excluded endpoint with the reason."""
    return {
        "endpoint": endpoint,
        "provider": provider_name(endpoint, names),
        "reason": reason,
        "excluded_by": code(reason),
        "sentence": sentence(reason),
    }


def provider_name(endpoint: str, names: Mapping[str, str]) -> str:
    """Return the display name of an endpoint's provider, or the slug if ``names`` has none.

    ``endpoint`` is an id ``provider:upstream_model``.
    """
    slug = endpoint.partition(":")[0]
    return names.get(slug, slug)


def score_meaning(policy: str | None) -> str:
    """Describe what the candidates' scores mean under a policy."""
    return SCORES.get(policy or "", "the figure that the policy judged by")


def _decision(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["draw"] is None:
        return None
    arms = row.get("arms") or ()
    return {
        "policy": row["policy"],
        "policy_version": row["policy_version"],
        "draw": row["draw"],
        "propensity": row["propensity"],
        "arms": [{"policy": a["policy"], "version": a["version"], "weight": a["weight"]} for a in arms],
        "catalogue_version": row["catalogue_version"],
        "health_epoch": row["health_epoch"],
        "score": score_meaning(row["policy"]),
    }


def _attempt(attempt: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "endpoint": attempt["endpoint"],
        "provider": provider_name(attempt["endpoint"], names),
        "model": attempt["model"],
        "reason": attempt["reason"],
        "status": attempt["status"],
        "error_type": attempt["error_type"],
        "started_ms": attempt["started_us"] / 1000,
        "ttft_ms": _ms(attempt["ttft_us"]),
        "duration_ms": _ms(attempt["duration_us"]),
    }


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def sentence(reason: str) -> str:
    """Return a sentence for ``reason``, or the code itself if this version does not know it."""
    kind, _, parameter = reason.partition(":")
    if kind == "unsupported":
        return f"It does not support {parameter}, and others do."
    return SENTENCES.get(reason, reason)


def code(reason: str) -> str | None:
    """Return the reference's ``excluded_by`` code, or ``None`` if it has none."""
    return "require_parameters" if reason.startswith("unsupported:") else EXCLUDED_BY.get(reason)
