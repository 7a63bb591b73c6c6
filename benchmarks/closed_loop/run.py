"""The acts in their order, each waited for on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.closed_loop.browser import CHROMIUM, NotShown, pictures
from benchmarks.closed_loop.drift import Drift, Event
from benchmarks.closed_loop.evidence import Served, served_by
from benchmarks.closed_loop.plant import plant
from benchmarks.closed_loop.stack import Stack
from data.policies import AuditEntry, PolicyState, read_audit, read_serving, read_state, read_states

POLL_S = 0.5
WHO = "benchmarks.closed_loop"


@dataclass
class Play:
    """Results of a run. Moments are seconds since ``began`` (Unix seconds)."""

    began: float
    speed: float
    options: tuple[str, ...]
    seconds: float = 0.0
    first: str = ""
    second: str = ""
    bad: str = ""
    forced_at: float = 0.0
    turned: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    states: list[PolicyState] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    listed: str = ""
    shown: list[str] = field(default_factory=list)
    missing: str = ""


class TooLate(Exception):
    """An act did not come within its time."""


class Stage:
    """Hold the stack and its drift, and wait for the steps of the run."""

    def __init__(self, stack: Stack, play: Play, drift: Drift, tell: Callable[[str], None]) -> None:
        self.stack, self.play, self.drift, self._tell = stack, play, drift, tell
        self._told = 0

    @property
    def minute(self) -> float:
        """Minutes of the market since the start."""
        return (time.time() - self.play.began) * self.play.speed / 60

    def until(self, holds: Callable[[], object], what: str, seconds: float) -> None:
        """Let the market drift until ``holds``. Raises ``TooLate``."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self.stack.ended:
                raise TooLate(f"the stack ended by itself: {self.stack.ended[-500:]}")
            if time.monotonic() > deadline:
                raise TooLate(f"not within {seconds:.0f} s: {what}")
            self.drift.tick(self.minute)
            self._say()
            time.sleep(POLL_S)

    def _say(self) -> None:
        audit = read_audit(self.stack.lake)
        for entry in audit[self._told :]:
            self._tell(f"{entry.at[11:19]} {entry.what:11} {entry.version} {entry.why[:200]}")
        self._told = len(audit)


def run(
    folder: Path, images: Path, *, speed: float, rate: float, refresh_s: float, patience_s: float, short: bool,
    tell: Callable[[str], None],
) -> Play:  # fmt: skip
    """All acts; ``short`` leaves out the challenger, whose proof takes 6,000 decisions and 20 blocks of time.

    ``patience_s`` is for each act. What did not come is named in ``missing``.
    """
    with Stack(folder, speed=speed, rate=rate, refresh_s=refresh_s) as stack:
        play = Play(time.time(), speed, stack.options)
        stage = Stage(stack, play, Drift(stack, seed=11), tell)
        try:
            _acts(stage, patience_s, short)
            if CHROMIUM:
                reasons = [e.why for e in read_audit(stack.lake) if e.version == play.bad and e.what == "rolled_back"]
                play.shown = pictures(stack, play.bad, play.second, reasons, images)
        except (TooLate, NotShown) as lack:
            play.missing = str(lack)
        play.listed = stack.command("policy", "list")
        play.seconds = time.time() - play.began
    play.events, play.audit, play.states = stage.drift.events, read_audit(stack.lake), read_states(stack.lake)
    play.served = served_by(stack.lake)
    return play


def _acts(stage: Stage, patience_s: float, short: bool) -> None:
    lake, play = stage.stack.lake, stage.play
    stage.until(lambda: read_serving(lake).champion, "a first champion", patience_s)
    play.first = play.second = str(read_serving(lake).champion)
    if not short:
        _prove(stage, patience_s)
    play.bad = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    plant(lake, play.second, play.bad, WHO)
    stage.until(lambda: _state(stage, play.bad) == "rejected", "the bad challenger is refused", patience_s)
    stage.until(lambda: read_serving(lake).champion, "a champion to return to", patience_s)
    play.forced_at = time.time() - play.began
    why = "the closed loop forces a bad policy, to see it rolled back"
    stage.stack.command("policy", "promote", play.bad, "--force", "--why", why)
    stage.until(lambda: _state(stage, play.bad) == "rolled_back", "the bad policy is rolled back", patience_s)
    back = time.monotonic() + 10
    stage.until(lambda: time.monotonic() > back, "the predecessor serves again", 60)


def _prove(stage: Stage, patience_s: float) -> None:
    """A challenger comes to serve by the proof of all gates, against price shares.

    Against a champion that what it sees corrects it would differ by a thousandth either way, and be rejected by it as
    often as not. So the champion, which has filled the log with choices like the challenger's, is taken out by hand.
    """
    lake, play = stage.stack.lake, stage.play
    stage.until(lambda: read_serving(lake).shadow, "a challenger in shadow", patience_s)
    # Earlier, and the time that the challenger is held to would be another market than the one it was fitted on.
    play.turned = stage.drift.turn_favourites(play.first, stage.minute)
    why = "what it prefers begins to fail; price shares serve until another has proved itself"
    stage.stack.command("policy", "rollback", play.first, "--why", why)
    stage.until(lambda: read_serving(lake).champion, "a second champion", patience_s)
    play.second = str(read_serving(lake).champion)


def _state(stage: Stage, version: str) -> str:
    found = read_state(stage.stack.lake, version)
    return found.state if found else ""
