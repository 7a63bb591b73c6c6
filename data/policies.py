"""What is on disk of selection policies besides the artifacts: who serves, each version's state, the audit log.

``policies/serving.json``           the one document that the router follows
``policies/<version>/state.json``   where a version stands, what it came from, how it was judged
``policies/audit.jsonl``            every step, appended and synced, never rewritten

Times are ISO 8601, UTC. Shares are parts of all traffic in [0, 1].
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from data.lake import Lake, write_atomically

LifecycleState = Literal["candidate", "shadow", "canary", "champion", "retired", "rejected", "rolled_back"]
T = TypeVar("T")


class Canary(msgspec.Struct, frozen=True):
    """A version on trial and its share of all traffic; ``since``: rows of the decision log when this share began."""

    version: str
    share: float
    since: int = 0


class Serving(msgspec.Struct, frozen=True):
    """Who serves. Without champion and canary the rules serve alone."""

    champion: str | None = None
    canary: Canary | None = None
    shadow: str | None = None

    def versions(self) -> tuple[str, ...]:
        """Champion, canary, shadow: those that there are."""
        canary = self.canary.version if self.canary else None
        return tuple(version for version in (self.champion, canary, self.shadow) if version)


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact was made from. ``held_out_from`` is where learning stopped: it saw nothing later."""

    data_from: str
    data_until: str
    held_out_from: str
    decisions: int
    code_version: str
    libraries: dict[str, str]
    metrics: dict[str, float]
    sha256: dict[str, str]


class Verdict(msgspec.Struct, frozen=True):
    """A gate's answer. ``insufficient``: the log cannot tell, which is neither for nor against the candidate.

    ``against`` is the champion that it was compared with, ``None`` for the rules.
    """

    gate: str
    outcome: Literal["passed", "failed", "insufficient"]
    reason: str
    figures: dict[str, float] = {}
    against: str | None = None


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version stands; ``predecessor`` is the champion that it replaced, ``pruned`` when its artifact went."""

    version: str
    state: LifecycleState
    since: str
    reason: str
    lineage: Lineage
    predecessor: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    pruned: str | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One step: ``who`` did ``what`` to a version and ``why``, with the figures that it was done on."""

    at: str
    who: str
    what: str
    version: str
    why: str
    figures: dict[str, float] = {}


def read_serving(lake: Lake) -> Serving:
    """Who serves now; nobody when nothing has been decided, or when the document is damaged."""
    path = lake.policies / "serving.json"
    if path.exists():
        return _read(path, Serving) or Serving()
    before = _read(lake.policies / "current.json", dict[str, str])  # written until there was a registry
    return Serving(champion=before.get("target")) if before else Serving()


def write_serving(lake: Lake, serving: Serving) -> None:
    write_atomically(lake.policies / "serving.json", msgspec.json.encode(serving))


def read_state(lake: Lake, version: str) -> PolicyState | None:
    return _read(lake.policies / version / "state.json", PolicyState)


def write_state(lake: Lake, state: PolicyState) -> None:
    content = msgspec.json.format(msgspec.json.encode(state), indent=1)
    folder = lake.policies / state.version
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "state.json", content)


def read_states(lake: Lake) -> list[PolicyState]:
    """Every registered version, the oldest first."""
    folders = sorted(path.parent.name for path in lake.policies.glob("*/state.json"))
    return [state for name in folders if (state := read_state(lake, name)) is not None]


def append_audit(lake: Lake, entry: AuditEntry) -> None:
    """Append a line and sync it."""
    path = lake.policies / "audit.jsonl"
    torn = path.exists() and path.stat().st_size > 0 and not _ends_a_line(path)
    with path.open("ab") as file:
        file.write(b"\n" * torn + msgspec.json.encode(entry) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_audit(lake: Lake) -> list[AuditEntry]:
    """The oldest first; a line that a crash has torn is passed over."""
    try:
        lines = (lake.policies / "audit.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := _decode(line, AuditEntry)) is not None]


def read_report(lake: Lake, version: str) -> dict[str, Any] | None:
    """The figures of a version's report page, or ``None`` before there is one."""
    return _read(lake.policies / version / "report.json", dict[str, Any])


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return _decode(path.read_bytes(), kind)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _decode(content: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
