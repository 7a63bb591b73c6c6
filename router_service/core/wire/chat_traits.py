"""Tell from the messages of a chat body what some provider may not take, without translating them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

_NULL = Raw(b"null")
_EMPTY = Raw(b'""')
# From here on it is faster to skip texts than to decode them.
_LARGE = 32 * 1024
_QUOTE, _OBJECT = ord('"'), ord("{")
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


# Traits of messages, as bits. A field that the router or another provider added, a cache mark, an empty text, the name
# of a tool's turn, and a call or a result without the other are foreign to every provider; developer turns, names,
# calls, long ids of calls, arguments that are no JSON object, as those of an answer that was cut off, and content in
# parts are to some.
FOREIGN, DEVELOPER, NAMES, CALLS, LONG_CALL_IDS, INVALID_ARGUMENTS, PARTS = 1, 2, 4, 8, 16, 32, 64
# Longest id that OpenAI and Azure take. Source: "string too long. Expected a string with maximum length 40", in issues
# of Portkey-AI/gateway (#1062), camel-ai/camel (#2215) and microsoft/autogen (#6377).
SHORT_CALL_ID = 40


class _Text(msgspec.Struct, forbid_unknown_fields=True, tag="text", tag_field="type", gc=False):
    text: Annotated[str, Meta(min_length=1)]


class _Image(msgspec.Struct, forbid_unknown_fields=True, tag="image_url", tag_field="type", gc=False):
    image_url: Raw


class _Audio(msgspec.Struct, forbid_unknown_fields=True, tag="input_audio", tag_field="type", gc=False):
    input_audio: Raw


class _File(msgspec.Struct, forbid_unknown_fields=True, tag="file", tag_field="type", gc=False):
    file: Raw


class _Video(msgspec.Struct, forbid_unknown_fields=True, tag="video_url", tag_field="type", gc=False):
    video_url: Raw


class _Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: Annotated[str, Meta(min_length=1)]
    type: Literal["function", "custom"]
    function: _Function | UnsetType = UNSET
    custom: Raw | UnsetType = UNSET


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    """Hold a turn without any field that the router or another provider may have added."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Raw = _EMPTY
    name: str | UnsetType = UNSET
    tool_calls: Annotated[list[_Call], Meta(min_length=1)] | UnsetType = UNSET
    tool_call_id: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET


_SaidText = Annotated[str, Meta(min_length=1)]
_Said = _SaidText | Annotated[list[_Text | _Image | _Audio | _File | _Video], Meta(min_length=1)]


class _System(msgspec.Struct, forbid_unknown_fields=True, tag="system", tag_field="role", gc=False):
    content: _Said


class _User(msgspec.Struct, forbid_unknown_fields=True, tag="user", tag_field="role", gc=False):
    content: _Said


class _Assistant(msgspec.Struct, forbid_unknown_fields=True, tag="assistant", tag_field="role", gc=False):
    content: _SaidText


_decode_plain_turns = msgspec.json.Decoder(list[_System | _User | _Assistant]).decode
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_raw = msgspec.json.Decoder(Raw).decode
_decode_parts = msgspec.json.Decoder(
    Annotated[list[_Text | _Image | _Audio | _File | _Video], Meta(min_length=1)]
).decode
_decode_part = msgspec.json.Decoder(_Text | _Image | _Audio | _File | _Video).decode
_decode_texts = msgspec.json.Decoder(Annotated[list[_Text], Meta(min_length=1)]).decode
_decode_text = msgspec.json.Decoder(_Text).decode
_decode_items = msgspec.json.Decoder(Annotated[list[Raw], Meta(min_length=1)]).decode


def inspect_messages(messages: Raw) -> int:
    """Return the traits of ``messages``. Malformed ones are foreign."""
    if memoryview(messages).nbytes < _LARGE:
        try:
            for plain in _decode_plain_turns(messages):
                if plain.content.__class__ is list:
                    return PARTS
            return 0
        except _FAULTS:
            pass
    traits = 0
    # The ids of the last calls whose results have not come.
    waiting: list[str] = []
    try:
        for turn in _decode_turns(messages):
            traits |= _traits(turn)
            if turn.role == "tool":
                if turn.tool_call_id not in waiting:
                    return FOREIGN
                waiting.remove(turn.tool_call_id)
            elif waiting:
                return FOREIGN
            elif turn.tool_calls is not UNSET:
                waiting = [call.id for call in turn.tool_calls]
    except _FAULTS:
        return FOREIGN
    return FOREIGN if waiting else traits


def _traits(turn: _Turn) -> int:
    content, role = turn.content, turn.role
    traits = NAMES if turn.name is not UNSET else 0
    if content != _NULL and not _is_text(content):
        traits |= PARTS
    if role == "assistant":
        if turn.tool_calls is not UNSET:
            traits |= CALLS
            for call in turn.tool_calls:
                traits |= _call_traits(call)
            # A text beside calls may be empty or null.
            return traits | (0 if content == _NULL or _is_text(content) else FOREIGN)
        return traits | (0 if content != _EMPTY and _is_text(content) else FOREIGN)
    if role == "tool":
        # The AI SDK names the tool of a result; the documented turn of a tool has no name.
        fits = turn.name is UNSET and turn.tool_call_id is not UNSET and (_is_text(content) or _are_texts(content))
        is_long = turn.tool_call_id is not UNSET and len(turn.tool_call_id) > SHORT_CALL_ID
        return traits | CALLS | (LONG_CALL_IDS if is_long else 0) | (0 if fits else FOREIGN)
    fits = turn.tool_calls is UNSET and content != _EMPTY and (_is_text(content) or _are_parts(content))
    return traits | (DEVELOPER if role == "developer" else 0) | (0 if fits else FOREIGN)


def _call_traits(call: _Call) -> int:
    traits = LONG_CALL_IDS if len(call.id) > SHORT_CALL_ID else 0
    if call.function is not UNSET:
        try:
            # Without values: the arguments of one call may have as many as the body has bytes.
            if memoryview(_decode_raw(call.function.arguments))[0] != _OBJECT:
                traits |= INVALID_ARGUMENTS
        except _FAULTS:
            traits |= INVALID_ARGUMENTS
    return traits


def _are_texts(content: Raw) -> bool:
    """Return true, or raise what a decoder raises for another content than text parts."""
    if memoryview(content).nbytes < _LARGE:
        return bool(_decode_texts(content))
    # One by one: a decoder holds the interpreter's lock for the length of a call.
    return bool([_decode_text(part) for part in _decode_items(content)])


def _are_parts(content: Raw) -> bool:
    """Return true, or raise what a decoder raises for another content than parts."""
    if memoryview(content).nbytes < _LARGE:
        return bool(_decode_parts(content))
    return bool([_decode_part(part) for part in _decode_items(content)])


def _is_text(raw: Raw) -> bool:
    return memoryview(raw)[0] == _QUOTE
