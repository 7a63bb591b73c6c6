"""Read the log probabilities of an answer, which its events carry as the JSON of the chat dialect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from router_service.core.wire.chat import Logprobs

_logprobs = msgspec.json.Decoder(Logprobs | None)


def merged_logprobs(pieces: Sequence[Raw]) -> Logprobs | None:
    """Return the log probabilities of ``pieces`` joined in order; a piece of another shape is left out."""
    found = [one for one in map(read_logprobs, pieces) if one is not None]
    if not found:
        return None
    return Logprobs(_joined(one.content for one in found), _joined(one.refusal for one in found))


def read_logprobs(raw: Raw) -> Logprobs | None:
    """Return the log probabilities of one piece, ``None`` for a piece of another shape."""
    try:
        found: Logprobs | None = _logprobs.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found


def _joined(lists: Iterable[list[Any] | None]) -> list[Any] | None:
    present = [one for one in lists if one is not None]
    return [token for one in present for token in one] if present else None
