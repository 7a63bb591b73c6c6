"""Convert a log record to an explanation: the request, its candidates, the decision and the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from data.explanations.replay import replay
from data.explanations.summary import summary
from data.explanations.wording import provider_name, score_meaning, sentence
from router_service.planning.eligibility import EXCLUDED_BY


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


def code(reason: str) -> str | None:
    """Return the reference's ``excluded_by`` code, or ``None`` if it has none."""
    return "require_parameters" if reason.startswith("unsupported:") else EXCLUDED_BY.get(reason)
