"""The bar of ``portolan refresh`` is on a terminal alone, and lines stand above it."""

from __future__ import annotations

import io

import pytest

from portolan.progress_bar import CELLS, ProgressBar, progress_bar


def test_a_bar_is_drawn_again_below_each_line_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream)
    bar.show("marts: 10 of 20 partition files", 0.5)
    bar.say("sealed_requests: files 1")
    bar.clear()
    drawn = f"[{'#' * (CELLS // 2)}{'.' * (CELLS // 2)}]  50% marts: 10 of 20 partition files"
    assert stream.getvalue().split("\r\x1b[K") == ["", drawn, "", drawn, ""]
    assert capsys.readouterr().out == "sealed_requests: files 1\n"


def test_without_a_terminal_only_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as bar:
        bar.show("marts", 0.1)
        bar.say("a line")
    found = capsys.readouterr()
    assert (found.out, found.err) == ("a line\n", "")
