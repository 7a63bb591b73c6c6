"""Format the output of ``portolan why``: the explanation of one request as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.catalogue import load_catalogue
from data.catalogue.types import Catalogue
from data.lake import Lake
from router_service.explanations.explain import explain
from router_service.telemetry.lookup import find_on_disk

WIDTH = 110


def report(generation_id: str, data_dir: Path, configured: Catalogue | None = None) -> Iterator[str] | None:
    """Return lines on a request in the log of ``data_dir``, segments and Parquet; ``None`` when it is not there.

    ``configured`` names the providers of the configuration too; by default the packaged catalogue names its own.
    """
    row = find_on_disk(Lake(data_dir), generation_id)
    if row is None:
        return None
    return _lines(
        explain(row, {slug: provider.name for slug, provider in (configured or load_catalogue()).providers.items()})
    )


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['id']}  {found['created_at']}"
    yield from _wrapped(found["summary"])
    yield from _decision(found)
    if found["candidates"]:
        yield from ("", "candidates, in order")
        yield f"  {'probability':>11}  {'score':>9}  endpoint"
        for candidate in found["candidates"]:
            score = "-" if candidate["score"] is None else f"{candidate['score']:.4f}"
            yield f"  {candidate['probability']:>11.4f}  {score:>9}  {candidate['endpoint']}"
    if found["excluded"]:
        yield from ("", "excluded")
        yield from _excluded(found["excluded"])
    if found["attempts"]:
        yield from ("", "attempts")
        width = max(len(attempt["endpoint"]) for attempt in found["attempts"])
        for number, attempt in enumerate(found["attempts"], 1):
            yield f"  {number}. {attempt['endpoint']:{width}}  {_outcome(attempt)}"


def _decision(found: Mapping[str, Any]) -> Iterator[str]:
    decision, replay = found["decision"], found["replay"]
    if decision is None:
        return
    yield from ("", "decision")
    yield f"  policy     {decision['policy']}, version {decision['policy_version']}{_mixture(decision['arms'])}"
    yield f"  draw       {decision['draw']:.6f}, propensity {decision['propensity']:.4f}"
    yield f"  made from  catalogue {decision['catalogue_version']}, health epoch {decision['health_epoch']}"
    if found["client_region"]:
        yield f"  client in  {found['client_region']}"
    if found["data_region"] is not None:
        yield f"  kept to    {found['data_region'] or 'no region: its rules contradict each other'}"
    yield f"  score      {decision['score']}"
    verdict = {True: "agrees", False: "DISAGREES", None: "cannot tell"}[replay["agrees"]]
    yield f"  replay     {verdict}"
    yield from _wrapped(replay["sentence"], " " * 13)


def _mixture(arms: Sequence[Mapping[str, Any]]) -> str:
    if len(arms) < 2:
        return ""
    return "; drawn from " + " and ".join(f"{arm['weight']:.0%} {arm['policy']} {arm['version']}" for arm in arms)


def _excluded(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    endpoints: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        endpoints.setdefault((row["reason"], row["sentence"]), []).append(row["endpoint"])
    for (reason, sentence), ids in endpoints.items():
        yield f"  {reason}: {sentence}"
        yield from _wrapped(", ".join(ids), "    ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _outcome(attempt: Mapping[str, Any]) -> str:
    parts = [attempt["reason"], f"status {attempt['status'] or '-'}"]
    parts += [attempt["error_type"]] if attempt["error_type"] else []
    parts += [f"first token {attempt['ttft_ms']:.1f} ms"] if attempt["ttft_ms"] is not None else []
    parts += [f"{attempt['duration_ms']:.1f} ms"] if attempt["duration_ms"] is not None else []
    return ", ".join(parts)
