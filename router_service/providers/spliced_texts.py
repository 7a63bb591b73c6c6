"""Read and write the texts of deltas that are spliced: those of the chat dialect.

A place is the name of a field, or that of a field of a call with the call's index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Place = str | tuple[str, int]
CONTENT, REFUSAL, TRANSCRIPT, LEGACY_CALL = "content", "refusal", "transcript", "function_call"
_HOLDERS = {"arguments": "function", "input": "custom"}


def texts_of(said: Any) -> Iterator[tuple[Place, str]]:
    """Yield the texts of the delta ``said``, as a decoder has read it, other than its content."""
    if said.refusal:
        yield REFUSAL, said.refusal
    if said.audio and isinstance(transcript := said.audio.get("transcript"), str):
        yield TRANSCRIPT, transcript
    for call in said.tool_calls or ():
        if call.function and call.function.arguments:
            yield ("arguments", call.index), call.function.arguments
        if call.custom and call.custom.input:
            yield ("input", call.index), call.custom.input
    if said.function_call and said.function_call.arguments:
        yield LEGACY_CALL, said.function_call.arguments


def delta_with(place: Place, text: str) -> msgspec.Raw:
    """Return the delta that says ``text`` alone."""
    delta: dict[str, Any]
    if isinstance(place, tuple):
        field, index = place
        delta = {"tool_calls": [{"index": index, _HOLDERS[field]: {field: text}}]}
    elif place == TRANSCRIPT:
        delta = {"audio": {"transcript": text}}
    elif place == LEGACY_CALL:
        delta = {LEGACY_CALL: {"arguments": text}}
    else:
        delta = {place: text}
    return msgspec.Raw(msgspec.json.encode(delta))


def with_texts(delta: msgspec.Raw, texts: Mapping[Place, str]) -> msgspec.Raw:
    """Return ``delta`` with other ``texts``, which it has all the places of."""
    found: dict[str, Any] = msgspec.json.decode(delta)
    for place, text in texts.items():
        if isinstance(place, tuple):
            field, index = place
            next(call for call in found["tool_calls"] if call["index"] == index)[_HOLDERS[field]][field] = text
        elif place == TRANSCRIPT:
            found["audio"]["transcript"] = text
        elif place == LEGACY_CALL:
            found[LEGACY_CALL]["arguments"] = text
        else:
            found[place] = text
    return msgspec.Raw(msgspec.json.encode(found))
