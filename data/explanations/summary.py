"""Summarise a request in one paragraph, for readers who do not know the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data.explanations.replay import replay
from data.record.attempt import CLIENT_DEADLINE, HEDGE, LOST

# These phrases follow "was drawn with probability p".
DRAWN = {
    "price": "by price shares",
    "exacto": "by price shares among the endpoints with the best tool calls",
    "adjusted": "by shares of adjusted price and speed",
    "learned": "by the learned policy",
    "wished": "by the learned policy and the wish of the request",
}
FIXED = {
    "order": "by the order of the request",
    "sort": "by the sort of the request",
    "sticky": "as the endpoint that its conversation stays with",
}


def summary(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the summary of the record ``row``; ``names`` are the providers' display names by slug."""
    sentences = [f"{row['requested_model'] or row['model'] or 'No model'} was asked for; {_market(row)}."]
    if row["attempts"]:
        sentences.append(f"{'; '.join(_steps(row, names))}.")
    sentences += [*_hedge(row), _end(row)]
    return " ".join(sentences)


def milliseconds(microseconds: int | None) -> str:
    """Format a duration with two or three significant digits."""
    if microseconds is None:
        return "an unknown time"
    if microseconds >= 1_000_000:
        return f"{microseconds / 1e6:.1f} s"
    return f"{microseconds / 1e3:.0f} ms" if microseconds >= 10_000 else f"{microseconds / 1e3:.1f} ms"


def _market(row: Mapping[str, Any]) -> str:
    reasons = Counter(c["excluded_by"] for c in row["candidates"] if c["excluded_by"])
    eligible = len(row["candidates"]) - reasons.total()
    if not row["candidates"]:
        return "no endpoint was looked at"
    excluded = ", ".join(f"{count} by {reason}" for reason, count in reasons.most_common())
    could = f"{eligible} endpoint{'' if eligible == 1 else 's'} could serve it"
    return f"{could}, {reasons.total()} could not ({excluded})" if reasons else could


def _steps(row: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    attempts: Sequence[Mapping[str, Any]] = row["attempts"]
    steps = []
    for place, attempt in enumerate(attempts):
        name = names.get(attempt["provider"], attempt["provider"])
        beginning = _first(row, name, names) if place == 0 else _next(row, place, name)
        steps.append(f"{beginning} {_result(row, attempt)}")
    return steps


def _first(row: Mapping[str, Any], name: str, names: Mapping[str, str]) -> str:
    policy, propensity = row["policy"], row["propensity"]
    if propensity is None:
        return f"{name} was tried first; it"
    how = FIXED.get(policy) or DRAWN.get(policy, f"by the policy {policy}") + _share(row)
    first = row["attempts"][0]
    drawn = replay(row).endpoint if first["reason"] != "sampled" else None
    if drawn is not None and drawn != first["endpoint"]:
        slug = drawn.partition(":")[0]
        chosen = f"{names.get(slug, slug)} was chosen with probability {propensity:.2g} {how}"
        return f"{chosen}, but {name} was tried first ({first['reason']}); it"
    if policy in FIXED:
        return f"{name} stood first {how}; it"
    if propensity == 1:
        return f"{name} was the only one to be drawn {how}; it"
    return f"{name} was drawn with probability {propensity:.2g} {how}; it"


def _share(row: Mapping[str, Any]) -> str:
    """Return a phrase with the arm's share of the traffic, since the stated probability is that of the mixture."""
    arms = row.get("arms") or ()
    own = sum(arm["weight"] for arm in arms if (arm["policy"], arm["version"]) == _arm(row))
    return f", which has {own:.0%} of the traffic" if len(arms) > 1 else ""


def _arm(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["policy"], row["policy_version"]


def _next(row: Mapping[str, Any], place: int, name: str) -> str:
    attempt, before = row["attempts"][place], row["attempts"][place - 1]
    if attempt["reason"] == HEDGE:
        return f"{name} was asked as well after {milliseconds(attempt['started_us'] - before['started_us'])} and"
    if attempt["model"] != before["model"] and attempt["endpoint"] not in _eligible(row):
        return f"{name} was first for {attempt['model']}, the next model of the request, and"
    if row["policy"] == "adjusted":
        return f"{name} was drawn from the rest and"
    return f"{name} was next{_order(row, place)} and"


def _order(row: Mapping[str, Any], place: int) -> str:
    """Return a phrase for the order by which the attempt at ``place`` followed, or ``""`` if it is not known."""
    tried = {attempt["endpoint"] for attempt in row["attempts"][:place]}
    left = [c for c in row["candidates"] if c["excluded_by"] is None and c["endpoint"] not in tried]
    if not left or left[0]["endpoint"] != row["attempts"][place]["endpoint"]:
        return ""
    cheapest = row["policy"] not in FIXED and all(left[0]["score"] <= c["score"] for c in left)
    return " in price order" if cheapest else " in order"


def _eligible(row: Mapping[str, Any]) -> set[str]:
    return {c["endpoint"] for c in row["candidates"] if c["excluded_by"] is None}


def _result(row: Mapping[str, Any], attempt: Mapping[str, Any]) -> str:
    took = milliseconds(attempt["duration_us"])
    if attempt["error_type"] == LOST:
        return f"had given no {_wanted(row)} after {took} and was cut"
    if attempt["error_type"] == CLIENT_DEADLINE:
        return _abandoned(row, attempt, took)
    if attempt["error_type"] is not None:
        if attempt["ttft_us"] is not None and attempt["status"] == 200:
            return f"broke off after {took} ({attempt['error_type']})"
        if attempt["status"] is None:
            return f"gave no answer in {took} ({attempt['error_type']})"
        return f"answered {attempt['status']} after {took} ({attempt['error_type']})"
    if row["cancelled"]:
        return f"was cancelled after {took}, when the client left"
    if row["stream"]:
        return f"served: first token after {milliseconds(attempt['ttft_us'])}, all in {took}"
    return f"served in {took}"


def _abandoned(row: Mapping[str, Any], attempt: Mapping[str, Any], took: str) -> str:
    what = f"had given no {_wanted(row)}" if attempt["ttft_us"] is None else "had begun and fallen silent"
    return f"{what} after {took} and was given up, as long as the client or its key wanted to wait"


def _wanted(row: Mapping[str, Any]) -> str:
    return "token" if row["stream"] else "answer"


def _hedge(row: Mapping[str, Any]) -> list[str]:
    """Return a sentence on the cost of the losing call of a hedged pair, if there was one."""
    nano = row.get("hedge_cost_nano")
    if nano is None:
        return []
    return [f"The call that was cut may cost the operator {nano / 1e9:.6f} USD; the client pays for one."]


def _end(row: Mapping[str, Any]) -> str:
    took = milliseconds(row["duration_us"])
    if row["cancelled"]:
        return f"The client left after {took}."
    if row["error_type"] is None:
        return f"The client had its answer after {took}."
    if row["status"] == 200:
        return f"The answer, begun with status 200, ended with the error {row['error_type']} after {took}."
    return f"The client got {row['status']} {row['error_type']} after {took}."
