"""Show a progress bar on a terminal, below the lines that are printed meanwhile."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

CELLS = 24


class ProgressBar:
    """Draw on ``stream``, one line that is drawn again for each change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line = stream, ""

    def show(self, text: str, share: float) -> None:
        """Draw the bar for ``share``, in [0, 1], with what is at work."""
        cells = int(share * CELLS)
        line = f"[{'#' * cells}{'.' * (CELLS - cells)}] {share:4.0%} {text}"
        self._line = line[: shutil.get_terminal_size().columns - 1]
        self._draw(self._line)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.clear()
        typer.echo(line)
        self._draw(self._line)

    def clear(self) -> None:
        """Remove the bar."""
        self._draw("")

    def _draw(self, line: str) -> None:
        # The cursor goes to the beginning of its line, which is erased.
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()


class NoBar(ProgressBar):
    """Print lines alone, where there is no terminal."""

    def _draw(self, line: str) -> None:
        """Draw nothing."""


@contextmanager
def progress_bar() -> Iterator[ProgressBar]:
    """Yield a bar on stderr, which draws nothing unless that is a terminal, and remove it at the end."""
    bar = ProgressBar(sys.stderr) if sys.stderr.isatty() else NoBar(sys.stderr)
    try:
        yield bar
    finally:
        bar.clear()
