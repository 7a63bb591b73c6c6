"""Write docs/closed-loop.md from a run. Every figure is read from the stack's files or its request log."""

from __future__ import annotations

import os
from datetime import datetime

from benchmarks.closed_loop.drift import Event
from benchmarks.closed_loop.run import Play
from data.policies import AuditEntry, PolicyState
from models.selection.decision.predictor import PREDICTED_QUANTITIES

LEADING = """# A run of the closed loop

This run used `portolan up` with the lab, its traffic, refreshes and dashboards, a lab whose providers drift, and only
the commands that an operator has. This page was written from `audit.jsonl`, the policies' states and the request log by

    {command}

The lab's time passes {speed:g} times as fast (`--lab-speed {speed:g}`). Latencies, outages, the drift, the evaluator's
blocks and the guardrails' window are shortened by the same factor.
{seconds:.0f} s were {hours:.1f} hours of the market.
"""
NOTES = """## Scope of this run

- The promotions, refusals and rollbacks come from the installed commands and pipelines. The benchmark injected the
  drift, the bad challenger (the champion's artifact with fast and slow exchanged, and metrics without errors) and the
  forced promotion.
- The first policy skips gate G2, because no learned policy had served and the log could not evaluate one. A candidate
  trained on a short log may be refused for a 90th percentile of a few hundred responses. The next one is trained at
  once.
- Live statistics correct a champion, so a challenger that was trained on more data has little gain over it to prove.
  The second champion was compared with price shares, after the first was rolled back by hand.
- Latencies are {speed:g} times as short as the market's, but prices and the value of a second are unchanged, so cost
  weighs more in these decisions. The router's own clocks (breakers, health windows, `Retry-After`, polling) run in real
  time. On {cores} cores the load of the installation itself is part of every latency.
- Dagster's web server did not run; its job ran in `portolan refresh`, as always under `portolan up`.
- The replayer sent the traffic through the official client. The lab imitates measured providers.
"""


def page(play: Play, command: str) -> str:
    """Markdown."""
    hours = play.seconds * play.speed / 3600
    parts = [
        LEADING.format(command=command.strip(), speed=play.speed, seconds=play.seconds, hours=hours),
        f"    portolan up {' '.join(play.options)}\n",
        "## Timeline\n",
        _timeline(play),
        "*Serves after*: from the step to the first request logged under a policy that was not serving.\n",
        "## Why the bad challenger was refused\n",
        _verdicts(play, play.bad),
        "## Why the forced promotion was rolled back\n",
        _rollback(play),
    ]
    if play.second != play.first:
        parts += ["## Evidence for the second champion\n", _verdicts(play, play.second)]
    parts += [
        "## Requests by policy\n",
        _served(play),
        "## Drift\n",
        _drift(play),
        "## Final output of `portolan policy list`\n",
        "\n".join(f"    {_short(line)}" for line in play.listed.splitlines()) + "\n",
        _shown(play),
        *(f"![{about}](images/{name}.png)\n" for name, about in PICTURES.items()),
        NOTES.format(speed=play.speed, cores=os.cpu_count()),
    ]
    return "\n".join(parts)


# A policy that had a request so shortly before a step served already.
ALREADY_S = 5.0
PICTURES = {
    "loop-steps": "Every step with who, when and why",
    "loop-refused": "The registry, and the gates' answers on the bad challenger",
    "loop-champion": "For whom the champion is better or worse",
}


def _timeline(play: Play) -> str:
    names = {play.first: "first", play.second: "second", play.bad: "bad"} | (
        {play.first: "first"} if play.first == play.second else {}
    )
    rows = []
    for entry in play.audit:
        at = datetime.fromisoformat(entry.at).timestamp() - play.began
        name = names.get(entry.version, f"…{entry.version[-8:]}")
        rows.append(
            (at, [name, entry.what.replace("_", " "), _short(entry.why), _who(entry), _served_after(play, entry)])
        )
    if play.turned:
        begun = min(event.begin for event in play.events if event.until is None) * 60 / play.speed
        what = f"{len(play.turned)} endpoints that the first champion prefers begin to fail for good"
        rows.append((begun, ["the lab", "drift", what, "benchmark", ""]))
    rows.sort(key=lambda row: row[0])
    cells = [[f"{at:.0f}", f"{at * play.speed / 60:.0f}", *row] for at, row in rows]
    return _table(["s", "market min", "policy", "step", "why", "who", "serves after"], cells)


def _served_after(play: Play, entry: AuditEntry) -> str:
    if entry.what not in ("canary", "champion"):
        return ""
    at = datetime.fromisoformat(entry.at).timestamp()
    served = next((served for served in play.served if served.version == entry.version), None)
    found = served.after(at) if served else None
    if served and (served.after(at - ALREADY_S) or at) < at:
        return ""
    return f"{found - at:.1f} s" if found is not None else "not"


def _verdicts(play: Play, version: str) -> str:
    state = next((state for state in play.states if state.version == version), None)
    if state is None:
        return "It was not made.\n"
    rows = [[verdict.gate, verdict.outcome, verdict.reason] for verdict in state.verdicts]
    figures = [
        f"{verdict.gate} {name.replace('_', ' ')} {value:.3g} [{verdict.figures[f'{name}.low']:.3g}, "
        f"{verdict.figures[f'{name}.high']:.3g}]"
        for verdict in state.verdicts
        for name, value in verdict.figures.items()
        if verdict.gate == "G2" and f"{name}.low" in verdict.figures
    ]
    listed = "".join(f"- {line}\n" for line in figures)
    return f"`{version}`\n\n{_table(['gate', 'answer', 'reason'], rows)}\n{_losses(state)}\n{listed}"


def _losses(state: PolicyState) -> str:
    """G1's figures: what each quantity was predicted with, beside what it is measured against."""
    figures = next((verdict.figures for verdict in state.verdicts if verdict.gate == "G1"), {})
    rivals = {"its": "loss", **{rival: f"loss_of_{rival}" for rival in ("level", "ewma", "base_rate", "champion")}}
    rows = []
    for quantity in PREDICTED_QUANTITIES:
        losses = [figures.get(f"{quantity.name}.{name}") for name in rivals.values()]
        rows.append([quantity.name, *("" if loss is None else f"{loss:.4f}" for loss in losses)])
    return _table(["losses, G1", *(name.replace("_", " ") for name in rivals)], rows)


def _shown(play: Play) -> str:
    cells = ", ".join(f"“{text}”" for text in dict.fromkeys(play.shown))
    return f"The same in the dashboards of that installation. A browser found these cells in its tables: {cells}.\n"


def _rollback(play: Play) -> str:
    rolled = next((e for e in play.audit if e.version == play.bad and e.what == "rolled_back"), None)
    if rolled is None:
        return "It was not.\n"
    forced = play.began + play.forced_at
    served = next((served for served in play.served if served.version == play.bad), None)
    met = sum(at >= forced for at in served.moments) if served else 0
    took = datetime.fromisoformat(rolled.at).timestamp() - forced
    return (
        f"{took:.0f} s after the command, on {rolled.figures['decisions']:.0f} decisions of its own and "
        f"{rolled.figures['control']:.0f} of the price arm: {rolled.why}. It served {met} requests.\n"
    )


def _served(play: Play) -> str:
    rows = [
        [one.policy, one.version, str(one.requests), f"{one.first - play.began:.0f}", f"{one.last - play.began:.0f}",
         f"{one.success:.2%}", _ms(one.ttft_p50), _ms(one.ttft_p99)]
        for one in play.served
    ]  # fmt: skip
    head = ["arm", "policy version in the log", "requests", "from, s", "to, s", "answered", "TTFT p50, ms", "p99, ms"]
    return _table(head, rows)


def _drift(play: Play) -> str:
    kinds: dict[str, list[Event]] = {}
    for event in play.events:
        kinds.setdefault(event.says.partition(" ")[2], []).append(event)
    rows = []
    for kind, events in sorted(kinds.items()):
        amounts = sorted((event.says.partition(" ")[0] for event in events), key=lambda text: float(text.rstrip("%")))
        lasted = sorted(event.until - event.begin for event in events if event.until is not None)
        minutes = f"{lasted[0]:.0f} to {lasted[-1]:.0f}" if lasted else f"from {events[0].begin:.0f} on"
        endpoints = len({event.endpoint for event in events})
        rows.append(
            [kind, " to ".join(dict.fromkeys((amounts[0], amounts[-1]))), f"{len(events)}", f"{endpoints}", minutes]
        )
    return _table(["what", "how much", "times", "endpoints", "market min"], rows)


def _who(entry: AuditEntry) -> str:
    return "operator" if entry.who.endswith("portolan policy") else entry.who.removesuffix(".closed_loop")


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}…"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
