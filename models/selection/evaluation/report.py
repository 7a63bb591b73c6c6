"""Report on a candidate: what would change, for whom it is better or worse, and by how much, with intervals.

``report.json`` holds the figures for the dashboards; ``report.html`` is a self-contained page.
"""

from __future__ import annotations

import logging
from html import escape
from typing import Any

import msgspec
import numpy as np

from data.lake import Lake
from data.policies import GateVerdict, error_sentence
from models.selection.dataset.replay_set import ReplaySet
from models.selection.decision.arrays import Floats
from models.selection.evaluation.differences import shifts_by_endpoint
from models.selection.evaluation.gates import GateJudgement
from models.selection.evaluation.intervals import Interval
from models.selection.evaluation.off_policy import EvaluationRefusal, SupportThresholds, evaluate
from models.selection.simulation.simulate import LABEL

logger = logging.getLogger(__name__)

SHIFTS = 12
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #dde3e9;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
.passed,.better{color:#0a7d3c}.failed,.worse{color:#b3261e}.insufficient,.unclear,.refused{color:#7a5b00}
small{color:#5b6b7a}"""


def write_report(lake: Lake, judgement: GateJudgement) -> dict[str, Any]:
    """Write both files into the version's folder and return the figures.

    Segments and shifts that cannot be evaluated are left out, and ``fault`` says why.
    """
    try:
        report = figures(judgement)
    except Exception as error:
        # The gates' verdicts stand without them, and the lifecycle must not stop for a page.
        logger.exception("the segments of %s could not be evaluated", judgement.state.version)
        report = figures(judgement._replace(replayed=None)) | {"fault": error_sentence(error)}
    folder = f"policies/{judgement.state.version}"
    lake.storage.put(f"{folder}/report.json", msgspec.json.encode(report))
    lake.storage.put(f"{folder}/report.html", page(report).encode())
    return report


def figures(judgement: GateJudgement) -> dict[str, Any]:
    """Return the figures of a judgement.

    Lifts are in USD a request, paired, against ``against``; segments overlap between models and kinds of request.
    ``effects`` are what the gates judge by: USD a request, except ``lift_success``, a share, and the ratios.
    """
    state, champion = judgement.state, judgement.champion
    segments: list[dict[str, Any]] = []
    shifts: list[dict[str, Any]] = []
    if judgement.replayed is not None:
        replay_set, target, baseline = judgement.replayed
        segments = [_segment("all", "all", replay_set, target, baseline)]
        for by, keys in {"model": replay_set.decisions.model, **replay_set.kinds}.items():
            for key in np.unique(keys):
                mask = keys == key
                segments.append(_segment(by, str(key), replay_set.where(mask), target[mask], baseline[mask]))
        shifts = [row._asdict() for row in shifts_by_endpoint(replay_set, baseline, target)[:SHIFTS]]
    return {
        "version": state.version,
        "against": f"champion {champion.version}" if champion else "what the log was served by",
        "lineage": msgspec.to_builtins(state.lineage),
        "verdicts": msgspec.to_builtins(state.verdicts),
        "effects": [row for verdict in state.verdicts for row in _effects(verdict)],
        "segments": segments,
        "shifts": shifts,
    }


def _effects(verdict: GateVerdict) -> list[dict[str, Any]]:
    """Return the gate's figures that have an interval."""
    figures = verdict.figures
    return [
        {
            "gate": verdict.gate,
            "figure": name,
            "value": value,
            "low": figures[f"{name}.low"],
            "high": figures[f"{name}.high"],
        }
        for name, value in figures.items()
        if f"{name}.low" in figures
    ]


def _segment(by: str, name: str, replay_set: ReplaySet, target: Floats, baseline: Floats) -> dict[str, Any]:
    row: dict[str, Any] = {"by": by, "name": name, "decisions": len(replay_set.contexts)}
    # Half of the effective samples that the total needs: a segment informs, the total decides.
    thin = SupportThresholds(effective_samples=100.0)
    judged = evaluate(replay_set.decisions, target, baseline, thresholds=SupportThresholds() if by == "all" else thin)
    row["effective_samples"] = judged.support.effective_samples
    if isinstance(judged, EvaluationRefusal):
        return row | {"word": "refused", "reason": judged.reason}
    return row | {"word": _outcome(judged.dr_lift), "lift": list(judged.dr_lift), "snips": list(judged.snips_lift)}


def _outcome(lift: Interval) -> str:
    return "better" if lift.low > 0 else "worse" if lift.high < 0 else "unclear"


def page(report: dict[str, Any]) -> str:
    """Render the HTML, without scripts or addresses of other servers."""
    lineage = report["lineage"]
    about = [
        ("Learned from", f"{lineage['data_from']} to {lineage['held_out_from']}, {lineage['decisions']} decisions"),
        ("Code", lineage["code_version"]),
        ("Compared with", report["against"]),
    ]
    parts = [
        f"<h1>Policy {escape(report['version'])}</h1>",
        _table([], [[escape(name), escape(str(value))] for name, value in about]),
        "<h2>Gates</h2>",
        _table(["gate", "answer", "reason"], [_verdict(verdict) for verdict in report["verdicts"]]),
        *([f"<p>Segments could not be evaluated: {escape(report['fault'])}</p>"] if "fault" in report else []),
        "<h2>For whom it is better or worse</h2>",
        "<p>Millionths of a dollar a request, more is better; 95 % intervals by block bootstrap, doubly robust, from "
        "decisions that it has not learned from.</p>",
        _table(
            ["", "who", "decisions", "effective", "", "lift", "interval"],
            [_segment_row(row) for row in report["segments"]],
        ),
        "<h2>By how much</h2>",
        "<p>What the gates stand on. USD a request (success: share of first attempts; ratios: of TTFT); "
        "G3 by scenario, simulated.</p>",
        _table(["gate", "figure", "value", "interval"], [_effect_row(row) for row in report["effects"]]),
        "<h2>What changes</h2>",
        _table(["endpoint", "first attempts now", "then", "decisions"], [_shift_row(row) for row in report["shifts"]]),
        f"<p><small>G3 is {escape(LABEL)}; everything else is from this installation's log.</small></p>",
    ]
    title = f"<title>Policy {escape(report['version'])}</title>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<style>{STYLE}</style>'
    return head + "\n".join(parts)


def _verdict(verdict: dict[str, Any]) -> list[str]:
    outcome = verdict["outcome"]
    return [escape(verdict["gate"]), f'<span class="{outcome}">{outcome}</span>', escape(verdict["reason"])]


def _segment_row(row: dict[str, Any]) -> list[str]:
    outcome = f'<span class="{row["word"]}">{row["word"]}</span>'
    counts = [str(row["decisions"]), f"{row['effective_samples']:.0f}"]
    start = [escape(row["by"]), escape(row["name"]), *counts, outcome]
    if "lift" not in row:
        return [*start, "", escape(row["reason"])]
    value, low, high = (figure * 1e6 for figure in row["lift"])
    return [*start, f"{value:+.1f}", f"{low:+.1f} to {high:+.1f}"]


def _effect_row(row: dict[str, Any]) -> list[str]:
    sign = "" if row["figure"].endswith("_ratio") else "+"
    value, low, high = (f"{row[name]:{sign}.3g}" for name in ("value", "low", "high"))
    return [escape(row["gate"]), escape(row["figure"].replace("_", " ")), value, f"{low} to {high}"]


def _shift_row(row: dict[str, Any]) -> list[str]:
    return [escape(row["endpoint"]), f"{row['before']:.1%}", f"{row['after']:.1%}", str(row["decisions"])]


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
