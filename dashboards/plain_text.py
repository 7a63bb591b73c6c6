"""Write names and values of requests where Streamlit reads Markdown."""

from __future__ import annotations

import re

_SPACE = re.compile(r"\s+")
_MARKS = re.compile(r"[\\`*_{}\[\]<>$~|#!]")


def plain(text: str) -> str:
    """Return Markdown that shows the text as it is, in one line.

    Names of models and apps are whatever a client sent, and filters whatever a link says. As Markdown they could make
    the reader's browser fetch a picture from anywhere.
    """
    return _MARKS.sub(r"\\\g<0>", _SPACE.sub(" ", text))
