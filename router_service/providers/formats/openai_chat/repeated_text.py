"""Recognise the chunks of a stream that differ from an earlier one in their text alone.

Most chunks of an answer do. Where the bytes around the text are those of a verified chunk, only the text has to be
verified: a JSON string in the place of another leaves all else as it was.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from router_service.core.answer import DeltaFrame
from router_service.providers.formats.openai_chat.wire import NULL, Choice, VerifiedDelta

# A provider that pads its chunks at random makes no two alike: after so many frames no further one is looked for.
MAX_FRAMES = 4
_KEY = b'"content"'
_TEXT = re.compile(rb'"content"\s*:\s*("(?:[^"\\]|\\.)*")')
decode_text = msgspec.json.Decoder(str).decode


class ChunkFrame(NamedTuple):
    """Hold the bytes of a chunk ``before`` and ``after`` its text, and what of them belongs to its delta."""

    before: bytes
    after: bytes
    delta: DeltaFrame


def frame_of(data: bytes, choice: Choice, said: VerifiedDelta) -> ChunkFrame | None:
    """Return the frame of a chunk whose only ``choice`` adds text, or ``None`` if it says anything else.

    ``said`` is the verified delta of the choice.
    """
    raw = bytes(choice.delta)
    if not said.content or _says_more(choice, said) or raw.count(_KEY) != 1 or data.count(raw) != 1:
        return None
    found = _TEXT.search(raw)
    if found is None or decode_text(found[1]) != said.content:
        return None
    first, last = found.span(1)
    start = data.index(raw)
    logprobs = UNSET if choice.logprobs is UNSET else NULL
    return ChunkFrame(
        data[: start + first], data[start + last :], DeltaFrame(choice.index, raw[:first], raw[last:], logprobs)
    )


def _says_more(choice: Choice, said: VerifiedDelta) -> bool:
    others = (
        said.refusal, said.reasoning, said.reasoning_details, said.tool_calls, said.function_call, said.audio,
        said.annotations, said.images,
    )  # fmt: skip
    return any(others) or choice.logprobs not in (UNSET, NULL) or said.reasoning_content is not UNSET
