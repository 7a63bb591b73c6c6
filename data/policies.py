"""Read and write the documents of the learned policies: the serving assignment, the state of each version, the audit.

``policies/serving.json``           the assignment that the router follows
``policies/<version>/state.json``   lifecycle state of a version, its lineage, the verdicts of its gates
``policies/audit.jsonl``            every step, appended and synced, never rewritten

Times are ISO 8601, UTC. Shares are fractions of all traffic in [0, 1].
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from data.lake import Lake
from data.storage.interface import InvalidKeyError, ObjectNotFoundError

LifecycleState = Literal["candidate", "shadow", "canary", "champion", "retired", "rejected", "rolled_back"]
T = TypeVar("T")
MAX_ERROR_CHARACTERS = 500


class Canary(msgspec.Struct, frozen=True):
    """Hold a version under test and its share of all traffic.

    ``since`` is the number of rows that the decision log had when the share was assigned.
    """

    version: str
    share: float
    since: int = 0


class ServingAssignment(msgspec.Struct, frozen=True):
    """Assign the versions that serve. Without champion and canary the rule-based strategies serve alone."""

    champion: str | None = None
    canary: Canary | None = None
    shadow: str | None = None

    def versions(self) -> tuple[str, ...]:
        """Return the versions that are assigned, in the order champion, canary, shadow."""
        canary = self.canary.version if self.canary else None
        return tuple(version for version in (self.champion, canary, self.shadow) if version)


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Describe the data, code and libraries of an artifact. Training used no data later than ``held_out_from``."""

    data_from: str
    data_until: str
    held_out_from: str
    decisions: int
    code_version: str
    libraries: dict[str, str]
    metrics: dict[str, float]
    sha256: dict[str, str]


class GateVerdict(msgspec.Struct, frozen=True):
    """Hold the result of a gate. ``insufficient`` means that the log holds too little evidence to decide.

    ``against`` is the champion that the candidate was compared with, ``None`` for the rule-based strategies.
    """

    gate: str
    outcome: Literal["passed", "failed", "insufficient"]
    reason: str
    figures: dict[str, float] = {}
    against: str | None = None


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the lifecycle state of a version.

    ``predecessor`` is the champion that it replaced; ``pruned`` is when its artifact was removed.
    """

    version: str
    state: LifecycleState
    since: str
    reason: str
    lineage: Lineage
    predecessor: str | None = None
    verdicts: tuple[GateVerdict, ...] = ()
    pruned: str | None = None
    judgings: int = 0


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Record one step: ``who`` did ``what`` to a version, ``why``, and the figures that the step is based on."""

    at: str
    who: str
    what: str
    version: str
    why: str
    figures: dict[str, float] = {}


def read_serving(lake: Lake) -> ServingAssignment:
    """Return the serving assignment; an empty one when there is none or when the document is damaged."""
    try:
        return _decode(lake.storage.get("policies/serving.json"), ServingAssignment) or ServingAssignment()
    except ObjectNotFoundError:
        # Releases without a registry wrote this document.
        before = _read(lake, "policies/current.json", dict[str, str])
        return ServingAssignment(champion=before.get("target")) if before else ServingAssignment()


def write_serving(lake: Lake, assignment: ServingAssignment) -> None:
    """Replace the serving assignment, which the router follows from then on."""
    lake.storage.put("policies/serving.json", msgspec.json.encode(assignment))


def read_state(lake: Lake, version: str) -> PolicyState | None:
    """Return the state of a version, or ``None`` when it has none or a damaged one."""
    return _read(lake, f"policies/{version}/state.json", PolicyState)


def write_state(lake: Lake, state: PolicyState) -> None:
    """Replace the state of a version."""
    content = msgspec.json.format(msgspec.json.encode(state), indent=1)
    lake.storage.put(f"policies/{state.version}/state.json", content)


def read_states(lake: Lake) -> list[PolicyState]:
    """Return the state of every registered version, oldest first."""
    folders = sorted(path.parent.name for path in lake.policies.glob("*/state.json"))
    return [state for name in folders if (state := read_state(lake, name)) is not None]


def append_audit(lake: Lake, entry: AuditEntry) -> None:
    """Append one line to the audit log and sync it. A line that a crash has torn is ended first."""
    path = lake.policies / "audit.jsonl"
    torn = path.exists() and path.stat().st_size > 0 and not _ends_with_newline(path)
    with path.open("ab") as file:
        file.write(b"\n" * torn + msgspec.json.encode(entry) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_audit(lake: Lake) -> list[AuditEntry]:
    """Return the entries of the audit log, oldest first. A torn line is skipped."""
    try:
        lines = (lake.policies / "audit.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := _decode(line, AuditEntry)) is not None]


def read_report(lake: Lake, version: str) -> dict[str, Any] | None:
    """Return the figures of a version's report, or ``None`` before there is one."""
    return _read(lake, f"policies/{version}/report.json", dict[str, Any])


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _read(lake: Lake, key: str, kind: type[T]) -> T | None:
    """Return a document, or ``None`` when it is missing or damaged, or when a version is no valid name."""
    try:
        return _decode(lake.storage.get(key), kind)
    except (ObjectNotFoundError, InvalidKeyError):
        return None


def _decode(content: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        # A figure that is no number is null in JSON. It costs itself, not the document: every other null is a default.
        return msgspec.convert(_without_nulls(msgspec.json.decode(content)), kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def error_sentence(error: Exception) -> str:
    """Return an exception as one bounded line for the audit log and for reports."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:MAX_ERROR_CHARACTERS] if text else type(error).__name__
