"""Carry the origin of signatures, encrypted reasoning and ids inside the tokens of an API that has no field for it.

A token is ``PREFIX`` and the base64url text of a MessagePack array: origin, format, raw token and what else the part
needs to return to its origin. It consists of letters, digits, ``_`` and ``-`` alone, the alphabet that APIs check, so
it may stand for a tool id too.

A client API with a field that names the kind of token, as ``reasoning_details[].format`` of the chat dialect does, need
not wrap a token whose kind is known: the formats of the reference are as fine as the providers that accept each
other's tokens. A provider that refuses one for its account gets the turn again without it.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from router_service.core.outgoing_json import well_formed
from router_service.core.parts import Reasoning, ToolKind

PREFIX = "ptln1_"


class OriginToken(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Hold what one token carries. ``raw`` is the provider's own signature, ``None`` where it made none.

    ``text`` is the readable reasoning, for clients that return the token without it.
    """

    origin: str | None = None
    format: str | None = None
    raw: str | None = None
    item_id: str | None = None
    encrypted: str | None = None
    summary: bool = False
    call_id: str | None = None
    kind: ToolKind = "function"
    text: str | None = None

    def reasoning(self, text: str = "") -> Reasoning:
        """Return the reasoning that the token proves, with its readable ``text``."""
        return Reasoning(
            text=text,
            signature=self.raw,
            item_id=self.item_id,
            origin=self.origin,
            summary=self.summary,
            encrypted=self.encrypted,
            format=self.format,
        )

    def write(self) -> str:
        """Return the token as text."""
        try:
            body = _encode(self)
        except UnicodeEncodeError:
            body = _encode([well_formed(v) if isinstance(v, str) else v for v in msgspec.structs.astuple(self)])
        return PREFIX + urlsafe_b64encode(body).rstrip(b"=").decode()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OriginToken).decode


def read_token(token: str) -> OriginToken | None:
    """Return what ``token`` carries, or ``None`` if no router wrote it or it was damaged."""
    if not token.startswith(PREFIX):
        return None
    body = token[len(PREFIX) :]
    try:
        return _decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None


def wrap_token(origin: str | None, raw: str) -> str:
    """Return ``raw`` with its origin, or unchanged without one; what looks like a token itself is wrapped anyway."""
    return OriginToken(origin or None, None, raw).write() if origin or raw.startswith(PREFIX) else raw


def unwrap_token(token: str) -> tuple[str | None, str]:
    """Return the origin of ``token`` and the raw token; the origin is ``None`` for a token that no router wrote.

    A damaged token is returned with the origin ``""``, which no provider has, so that every format drops it.
    """
    found = read_token(token)
    if found is None:
        return ("" if token.startswith(PREFIX) else None), token
    return found.origin, found.raw or ""
