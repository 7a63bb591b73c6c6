"""Read selection policies from their files: states, audit log, and the changes that a candidate would make."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from data.lake import Lake
from data.policies import read_audit, read_report, read_serving, read_state, read_states

LIVING = ("candidate", "shadow", "canary", "champion")
LEFT = ("retired", "rejected", "rolled_back")


def registry(lake: Lake) -> pl.DataFrame:
    """Return ``version, state, share, since, decisions, reason``, newest first; ``share`` is of all traffic."""
    canary = read_serving(lake).canary
    rows = [
        {
            "version": state.version,
            "state": state.state.replace("_", " ") + (", pruned" if state.pruned else ""),
            "share": canary.share if canary and canary.version == state.version else None,
            "since": state.since[:19],
            "decisions": state.lineage.decisions,
            "reason": state.reason,
        }
        for state in reversed(read_states(lake))
    ]
    kinds = {"version": pl.String, "state": pl.String, "share": pl.Float64, "since": pl.String}
    return pl.DataFrame(rows, schema=kinds | {"decisions": pl.Int64, "reason": pl.String})


def audit(lake: Lake, begin: datetime, end: datetime) -> pl.DataFrame:
    """Return ``at, who, what, version, why`` of the steps from ``begin`` to ``end``, the newest first."""
    rows = [
        {"at": e.at[:19], "who": e.who, "what": e.what.replace("_", " "), "version": e.version, "why": e.why}
        for e in reversed(read_audit(lake))
        if begin <= datetime.fromisoformat(e.at) < end
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("at", "who", "what", "version", "why"), pl.String))


def lives(lake: Lake, begin: datetime, end: datetime, shown: int) -> pl.DataFrame:
    """Return ``version, state, begin, end, why``: the states of versions from ``begin`` to ``end``, newest first.

    ``shown`` versions at most. A version that has left for good has no ``end``; one that has not goes on to ``end``.
    """
    steps = [(e, datetime.fromisoformat(e.at)) for e in read_audit(lake) if e.what in (*LIVING, *LEFT)]
    rows: list[dict[str, Any]] = []
    for version in dict.fromkeys(entry.version for entry, _ in reversed(steps)):
        mine = [(entry, at) for entry, at in steps if entry.version == version]
        for (entry, at), after in zip(mine, [*(at for _, at in mine[1:]), None], strict=True):
            until = after or (end if entry.what in LIVING else None)
            if at < end and (until or at) >= begin:
                state = entry.what.replace("_", " ")
                rows.append({"version": version, "state": state, "begin": at, "end": until, "why": entry.why})
    kinds = {"version": pl.String, "state": pl.String} | dict.fromkeys(("begin", "end"), pl.Datetime("us", "UTC"))
    found = pl.DataFrame(rows, schema=kinds | {"why": pl.String})
    return found.filter(pl.col("version").is_in(found["version"].unique(maintain_order=True).head(shown).to_list()))


def verdicts(lake: Lake, version: str) -> pl.DataFrame:
    """Return ``gate, outcome, reason`` of the last verdicts."""
    state = read_state(lake, version)
    rows = [{"gate": v.gate, "outcome": v.outcome, "reason": v.reason} for v in (state.verdicts if state else ())]
    return pl.DataFrame(rows, schema=dict.fromkeys(("gate", "outcome", "reason"), pl.String))


def segments(lake: Lake, version: str) -> pl.DataFrame:
    """Return ``by, name, decisions, effective_samples, word, lift, low, high, reason``; lifts in µUSD or null."""
    rows = [_segment(row) for row in (read_report(lake, version) or {}).get("segments", [])]
    kinds: dict[str, Any] = {"by": pl.String, "name": pl.String, "decisions": pl.Int64}
    kinds |= {"effective_samples": pl.Float64, "word": pl.String}
    kinds |= {"lift": pl.Float64, "low": pl.Float64, "high": pl.Float64, "reason": pl.String}
    return pl.DataFrame(rows, schema=kinds)


def effects(lake: Lake, version: str) -> pl.DataFrame:
    """Return ``gate, figure, value, low, high``: USD a request, but for ``lift_success`` (a share) and ratios."""
    rows = (read_report(lake, version) or {}).get("effects", [])
    kinds: dict[str, Any] = {"gate": pl.String, "figure": pl.String}
    return pl.DataFrame(rows, schema=kinds | dict.fromkeys(("value", "low", "high"), pl.Float64))


def shifts(lake: Lake, version: str) -> pl.DataFrame:
    """Return ``endpoint, before, after, decisions``: mean share of first attempts, the largest changes first."""
    rows = (read_report(lake, version) or {}).get("shifts", [])
    kinds: dict[str, Any] = {"endpoint": pl.String, "before": pl.Float64, "after": pl.Float64, "decisions": pl.Int64}
    return pl.DataFrame(rows, schema=kinds)


def compared_with(lake: Lake, version: str) -> str:
    """Return the name of the policy that the report compares with."""
    return str((read_report(lake, version) or {}).get("against", "nothing yet"))


def _segment(row: dict[str, Any]) -> dict[str, Any]:
    lift, low, high = (figure * 1e6 for figure in row["lift"]) if "lift" in row else (None, None, None)
    kept = {name: row.get(name) for name in ("by", "name", "decisions", "effective_samples", "word", "reason")}
    return kept | {"lift": lift, "low": low, "high": high}
