"""Putting measured tables into the docs."""

from __future__ import annotations

from pathlib import Path


def write_between(page: Path, marker: str, content: str) -> None:
    """Replace what stands in ``page`` between the line that begins with ``marker`` and the next end."""
    text = page.read_text()
    begin = text.index("\n", text.index(marker)) + 1
    page.write_text(text[:begin] + content + "\n" + text[text.index("<!-- end -->", begin) :])
