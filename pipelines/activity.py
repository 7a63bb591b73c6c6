"""Follow the runs of a refresh while they execute: which step is at work, and what share of all is done."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import dagster as dg

FILES = "{done} of {of} partition files are up to date"
_FILES = re.compile(r"(\d+) of (\d+) partition files are up to date")


class Activity(NamedTuple):
    """Say which step is at work, in words, and the share of the whole that is done, in [0, 1]."""

    text: str
    share: float


class Follower:
    """Receive the events of runs one after the other, and report an ``Activity`` whenever something has changed."""

    def __init__(self, steps: int, report: Callable[[Activity], None]) -> None:
        self._steps, self._report = steps, report
        self._ended = 0

    def pass_over(self, steps: int) -> None:
        """Count the steps of a run that is not needed as done."""
        self._ended += steps

    def event(self, entry: dg.EventLogEntry) -> None:
        """Take an event of a run."""
        event = entry.dagster_event
        if event is None:
            if (found := _FILES.search(entry.user_message)) is not None:
                done, of = map(int, found.groups())
                self._say(f"marts: {done} of {of} partition files", done / of)
        elif event.is_step_start:
            self._say(entry.step_key or "", 0.0)
        elif event.is_step_success or event.is_step_failure or event.is_step_skipped:
            self._ended += 1
            self._say(entry.step_key or "", 0.0)

    def _say(self, text: str, part: float) -> None:
        self._report(Activity(text, min(1.0, (self._ended + part) / self._steps)))
