"""Turn the arguments of a tool call, which models write as text, to the JSON object that ``input`` must be."""

from __future__ import annotations

import re

import msgspec

from router_service.core.outgoing_json import json_text
from router_service.core.wire.anthropic import INVALID_ARGUMENTS

_PIECE = re.compile(r'[^"\\{}\[\],]+|.', re.DOTALL)
_STRING_PIECE = re.compile(r'[^"\\]+|\\.?|"', re.DOTALL)
_decode = msgspec.json.Decoder(dict[str, object]).decode


class ArgumentsWriter:
    """Pass on the members of an object once each is complete and valid, as Anthropic does by default.

    Clients parse what has arrived, and the official SDKs raise for text that is no JSON. What is not valid is therefore
    never sent as it is: the object is closed with the member ``_invalid_arguments``, whose value is the complete text
    of the model, so that no tool runs with a value that was cut off. No text at all is the empty object.
    """

    def __init__(self) -> None:
        self._text: list[str] = []
        self._member: list[str] = []
        self._depth = 0
        self._sent = 0
        self._in_string = self._escaped = self._broken = self._closed = False

    def feed(self, text: str) -> str:
        """Return the members that ``text`` completes, as the next fragment of the JSON text; often empty."""
        self._text.append(text)
        found: list[str] = []
        position = 0
        while position < len(text) and not self._broken:
            piece = self._next(text, position)
            position += len(piece)
            complete = self._take(piece)
            if complete is not None:
                found.append(self._checked(complete))
        return "".join(found)

    def finish(self) -> str:
        """Return the last fragment."""
        opening = "{" if not self._sent else ""
        if self._closed and not self._broken:
            return opening + "}"
        text = "".join(self._text)
        if not text.strip():
            return "{}"
        separator = "," if self._sent else "{"
        return f'{separator}"{INVALID_ARGUMENTS}":{json_text(text)}}}'

    def _next(self, text: str, position: int) -> str:
        if self._escaped:
            return text[position]
        found = (_STRING_PIECE if self._in_string else _PIECE).match(text, position)
        assert found is not None
        return found[0]

    def _take(self, piece: str) -> str | None:
        """Read a piece; return the text of the member that it ends, empty for none in an empty object."""
        if self._in_string:
            self._member.append(piece)
            if self._escaped:
                self._escaped = False
            elif piece == "\\":
                self._escaped = True
            elif piece == '"':
                self._in_string = False
            return None
        if self._depth == 0:
            if self._closed or piece != "{":
                self._broken = bool(piece.strip())
            else:
                self._depth = 1
            return None
        if piece in ("}", "]"):
            self._depth -= 1
        if self._depth == 0 or (self._depth == 1 and piece == ","):
            self._closed = self._depth == 0
            complete, self._member = "".join(self._member), []
            return complete
        self._in_string = piece == '"'
        if piece in ("{", "["):
            self._depth += 1
        self._member.append(piece)
        return None

    def _checked(self, member: str) -> str:
        if self._closed and not self._sent and not member.strip():
            return ""
        try:
            valid = len(_decode("{" + member + "}")) == 1
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            valid = False
        if not valid:
            self._broken = True
            return ""
        self._sent += 1
        return ("{" if self._sent == 1 else ",") + member


def arguments_object(text: str) -> msgspec.Raw:
    """Return the JSON object for ``text``."""
    writer = ArgumentsWriter()
    found = writer.feed(text) + writer.finish()
    return msgspec.Raw(found.encode())
