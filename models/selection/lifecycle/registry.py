"""Move policies through their lifecycle: candidate → shadow → canary → champion, and out. Each step is audited.

    candidate → shadow | canary (the first of all) | rejected      canary   → champion | rolled_back | retired
    shadow    → canary | rejected | retired                        champion → retired | rolled_back
    retired   → champion (an operator's choice, or a rollback to it)

A canary's share is widened step by step. A version that will hardly serve again loses its artifact and keeps its state.
``serving.json`` is authoritative and written first; after a crash the states are repaired from it at the next step.
"""

from __future__ import annotations

import fcntl
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from data.lake import Lake
from data.policies import (
    AuditEntry,
    Canary,
    GateVerdict,
    LifecycleState,
    Lineage,
    PolicyState,
    ServingAssignment,
    append_audit,
    read_audit,
    read_serving,
    read_state,
    read_states,
    write_serving,
    write_state,
)

STEPS: dict[LifecycleState, tuple[LifecycleState, ...]] = {
    "candidate": ("shadow", "canary", "champion", "rejected", "retired"),
    "shadow": ("canary", "champion", "rejected", "retired"),
    "canary": ("champion", "rolled_back", "retired"),
    "champion": ("retired", "rolled_back"),
    "retired": ("champion",),
    "rejected": ("champion",),
    "rolled_back": ("champion",),
}
ENDED: tuple[LifecycleState, ...] = ("retired", "rejected", "rolled_back")
ARTIFACT = ("*.onnx", "policy.json")
# No training takes this long: an older unregistered folder was left by a process that died.
ABANDONED_S = 3600.0


class RegistryError(Exception):
    """Say why a step cannot be taken."""


class Registry:
    """Take steps of policies in a lake, one at a time across processes. ``who`` signs them in the audit log."""

    def __init__(self, lake: Lake, who: str) -> None:
        self._lake = lake.create()
        self._who = who

    @property
    def serving(self) -> ServingAssignment:
        """Return who serves now."""
        return read_serving(self._lake)

    def states(self) -> list[PolicyState]:
        """Return every version, the oldest first."""
        return read_states(self._lake)

    def get(self, version: str) -> PolicyState:
        """Return a version's state. Raises ``RegistryError`` on an unknown version."""
        found = next((state for state in self.states() if state.version == version), None)
        if found is None:
            raise RegistryError(f"there is no policy {version}; 'portolan policy list' names them")
        return found

    def in_state(self, *states: LifecycleState) -> list[PolicyState]:
        """Return the versions in any of ``states``, the oldest first."""
        return [state for state in self.states() if state.state in states]

    def is_proven(self, version: str) -> bool:
        """Tell whether a version may serve without a verdict: the canary, or a champion, present or retired.

        Raises ``RegistryError`` on an unknown version.
        """
        state = self.get(version).state
        served = any(entry.what == "champion" and entry.version == version for entry in read_audit(self._lake))
        return state in ("canary", "champion") or (state == "retired" and served)

    def register(self, version: str, lineage: Lineage, why: str) -> PolicyState:
        """Register a finished artifact folder as a candidate."""
        with self._step():
            lineage = msgspec.structs.replace(lineage, metrics=_finite(lineage.metrics))
            made = PolicyState(version=version, state="candidate", since=_now(), reason=why, lineage=lineage)
            write_state(self._lake, made)
            self._audit("candidate", version, why, lineage.metrics)
            return made

    @contextmanager
    def judging(self, version: str) -> Iterator[PolicyState]:
        """Mark ``version`` as being judged until this ends, and yield the state as it was before.

        A process that is killed meanwhile leaves the mark, ``PolicyState.judgings``. Raises ``RegistryError``.
        """
        with self._step():
            before = self.get(version)
            write_state(self._lake, msgspec.structs.replace(before, judgings=before.judgings + 1))
        try:
            yield before
        finally:
            with self._step():
                write_state(self._lake, msgspec.structs.replace(self.get(version), judgings=0))

    def judge(self, version: str, verdicts: tuple[GateVerdict, ...]) -> PolicyState:
        """Keep the gates' latest verdicts with the version."""
        with self._step():
            kept = tuple(msgspec.structs.replace(one, figures=_finite(one.figures)) for one in verdicts)
            state = msgspec.structs.replace(self.get(version), verdicts=kept)
            write_state(self._lake, state)
            return state

    def shadow(self, version: str, why: str, figures: Mapping[str, float] | None = None) -> None:
        """Score a version from the log without serving it. Another shadow is retired."""
        with self._step():
            self._expect(version, "shadow")
            before = self.serving.shadow
            write_serving(self._lake, msgspec.structs.replace(self.serving, shadow=version))
            self._move(version, "shadow", why, figures)
            if before and before != version:
                self._move(before, "retired", f"{version} took its place")

    def canary(
        self, version: str, share: float, why: str, figures: Mapping[str, float] | None = None, since: int = 0
    ) -> None:
        """Serve ``share`` of the traffic by a version, judged from row ``since`` of the decision log on.

        Raises ``RegistryError`` while there is another canary.
        """
        _check_share(share)
        with self._step():
            self._expect(version, "canary")
            serving = self.serving
            if serving.canary is not None:
                raise RegistryError(f"{serving.canary.version} is the canary; there is one at a time")
            shadow = None if serving.shadow == version else serving.shadow
            write_serving(self._lake, ServingAssignment(serving.champion, Canary(version, share, since), shadow))
            self._move(version, "canary", why, figures)

    def widen(
        self, version: str, share: float, why: str, figures: Mapping[str, float] | None = None, since: int = 0
    ) -> None:
        """Give the canary another ``share``. Raises ``RegistryError`` when the version is not the canary."""
        _check_share(share)
        with self._step():
            serving = self.serving
            _expect_canary(serving, version)
            canary = Canary(version, share, since)
            write_serving(self._lake, msgspec.structs.replace(serving, canary=canary))
            self._move(version, "canary", why, figures)

    def promote(
        self, version: str, why: str, figures: Mapping[str, float] | None = None, *, canary_only: bool = False
    ) -> None:
        """Make a version the champion; the one before is retired and stays its predecessor.

        With ``canary_only`` the version must still be the canary, whatever has happened since that was checked.
        """
        with self._step():
            self._expect(version, "champion")
            serving = self.serving
            if canary_only:
                _expect_canary(serving, version)
            canary = None if serving.canary and serving.canary.version == version else serving.canary
            shadow = None if serving.shadow == version else serving.shadow
            write_serving(self._lake, ServingAssignment(version, canary, shadow))
            self._move(version, "champion", why, figures, predecessor=serving.champion)
            if serving.champion:
                self._move(serving.champion, "retired", f"{version} is champion now")

    def reject(self, version: str, why: str, figures: Mapping[str, float] | None = None) -> None:
        """Reject a version that has not served."""
        self._leave(version, "rejected", why, figures)

    def retire(self, version: str, why: str, figures: Mapping[str, float] | None = None) -> None:
        """Take a version out of service without blame."""
        self._leave(version, "retired", why, figures)

    def rollback(self, version: str, why: str, figures: Mapping[str, float] | None = None) -> str | None:
        """End a version's serving at once, and return the champion after it; ``None`` means the rules.

        After a champion its predecessor serves again, unless that was rolled back, too.
        """
        with self._step():
            self._expect(version, "rolled_back")
            serving = self.serving
            if serving.champion == version:
                before = self._fit_predecessor(version)
                write_serving(self._lake, msgspec.structs.replace(serving, champion=before))
                self._move(version, "rolled_back", why, figures)
                if before:
                    self._move(before, "champion", f"{version} was rolled back")
                return before
            write_serving(self._lake, msgspec.structs.replace(serving, canary=None))
            self._move(version, "rolled_back", why, figures)
            return serving.champion

    def _fit_predecessor(self, version: str) -> str | None:
        before = self.get(version).predecessor
        state = read_state(self._lake, before) if before else None
        return before if state is not None and state.state == "retired" and not state.pruned else None

    def prune(self, version: str, why: str) -> None:
        """Remove the artifact of a version that is out of service for good; state, report and audit stay."""
        with self._step():
            state = self.get(version)
            if state.pruned:
                return
            if state.state not in ENDED:
                raise RegistryError(f"{version} is {_word(state.state)}; only what is out of service can be pruned")
            write_state(self._lake, msgspec.structs.replace(state, pruned=_now()))
            for name in ARTIFACT:
                for path in (self._lake.policies / version).glob(name):
                    path.unlink(missing_ok=True)
            self._audit("pruned", version, why, {})

    def _leave(self, version: str, to: LifecycleState, why: str, figures: Mapping[str, float] | None) -> None:
        with self._step():
            self._expect(version, to)
            write_serving(self._lake, _without(self.serving, [version]))
            self._move(version, to, why, figures)

    def _expect(self, version: str, to: LifecycleState) -> None:
        found = self.get(version)
        state = found.state
        if to not in STEPS[state]:
            raise RegistryError(f"{version} is {_word(state)}; from there it cannot become {_word(to)}")
        if found.pruned:
            raise RegistryError(f"{version} was pruned at {found.pruned[:19]}: there is no artifact left to serve")

    def _move(
        self,
        version: str,
        to: LifecycleState,
        why: str,
        figures: Mapping[str, float] | None = None,
        predecessor: str | None = None,
    ) -> None:
        state = self.get(version)
        kept = predecessor if to == "champion" and predecessor else state.predecessor
        made = msgspec.structs.replace(state, state=to, since=_now(), reason=why, predecessor=kept)
        write_state(self._lake, made)
        self._audit(to, version, why, figures or {})

    def _audit(self, what: str, version: str, why: str, figures: Mapping[str, float]) -> None:
        entry = AuditEntry(at=_now(), who=self._who, what=what, version=version, why=why, figures=_finite(figures))
        append_audit(self._lake, entry)

    @contextmanager
    def _step(self) -> Iterator[None]:
        with (self._lake.policies / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._adopt()
            self._drop_unknown()
            self._mend()
            yield

    def _adopt(self) -> None:
        """Give a champion that was published before there was a registry a state of its own."""
        champion = self.serving.champion
        if champion and read_state(self._lake, champion) is None:
            folder = self._lake.policies / champion
            try:
                header = json.loads((folder / "policy.json").read_bytes())
                lineage = Lineage(
                    data_from="", data_until="", held_out_from="", decisions=int(header["attempts"]), code_version="",
                    libraries=header["libraries"], metrics=header["metrics"], sha256=header["sha256"],
                )  # fmt: skip
            except (OSError, ValueError, KeyError, TypeError):
                return
            why = "published before there was a registry"
            state = PolicyState(version=champion, state="champion", since=_now(), reason=why, lineage=lineage)
            write_state(self._lake, state)
            write_serving(self._lake, self.serving)
            self._audit("champion", champion, why, {})

    def _drop_unknown(self) -> None:
        """End the serving of every version without a readable state: no step could end it."""
        serving = self.serving
        lost = [version for version in serving.versions() if read_state(self._lake, version) is None]
        if not lost:
            return
        write_serving(self._lake, _without(serving, lost))
        for version in lost:
            self._audit("retired", version, "its state cannot be read", {})

    def _mend(self) -> None:
        """Bring states into line with ``serving.json`` after a crash between the two."""
        serving = self.serving
        standing: dict[str, LifecycleState] = {}
        if serving.shadow:
            standing[serving.shadow] = "shadow"
        if serving.canary:
            standing[serving.canary.version] = "canary"
        if serving.champion:
            standing[serving.champion] = "champion"
        for state in self.states():
            wanted = standing.get(state.version)
            if wanted is None and state.state in ("shadow", "canary", "champion"):
                wanted = "retired"
            if wanted is not None and wanted != state.state:
                self._move(state.version, wanted, "a step was interrupted; this is what serves")


def prune(lake: Lake, kept: int, who: str) -> list[str]:
    """Remove artifacts that are out of service, except the champion's predecessor and the last ``kept``.

    Folders that no registry knows are removed, too. Returns the versions that were pruned.
    """
    registry = Registry(lake, who)
    champion = registry.serving.champion
    states = registry.states()
    # A champion whose state is lost or damaged has no known predecessor.
    spared = {state.predecessor for state in states if state.version == champion}
    ended = [state for state in states if state.state in ENDED and state.version not in spared]
    # Sorted by the last step rather than by age: yesterday's champion is worth more than yesterday's rejections.
    ended.sort(key=lambda state: state.since, reverse=True)
    gone = [state.version for state in ended[kept:] if not state.pruned]
    for version in gone:
        registry.prune(version, f"out of service, and not among the last {kept}")
    _remove_abandoned(lake)
    return gone


def _remove_abandoned(lake: Lake) -> None:
    serving = read_serving(lake).versions()
    for folder in lake.policies.iterdir():
        if not folder.is_dir() or folder.name in serving or read_state(lake, folder.name) is not None:
            continue
        if folder.stat().st_mtime < time.time() - ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _expect_canary(serving: ServingAssignment, version: str) -> None:
    if serving.canary is None or serving.canary.version != version:
        raise RegistryError(f"{version} is not the canary")


def _without(serving: ServingAssignment, gone: Sequence[str]) -> ServingAssignment:
    return ServingAssignment(
        None if serving.champion in gone else serving.champion,
        None if serving.canary and serving.canary.version in gone else serving.canary,
        None if serving.shadow in gone else serving.shadow,
    )


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the finite figures: JSON has no NaN and no infinities, and would hold null for them."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise RegistryError(f"a canary's share must be between 0 and 1, not {share}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _word(state: str) -> str:
    return state.replace("_", " ")
