"""Define the parts that messages and answers consist of, in the order in which they were written.

They are the middle between client APIs and wire formats: each of these translates to and from parts alone.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MediaKind = Literal["image", "audio", "video", "document", "file"]
ToolKind = Literal["function", "custom", "hosted"]


class CacheMark(msgspec.Struct, frozen=True):
    """Ask the provider to cache the prompt up to and including the part; ``ttl`` such as ``5m`` or ``1h``."""

    ttl: str | None = None


class Part(msgspec.Struct, kw_only=True, tag=True):
    """Hold what every part may carry.

    ``origin`` names the wire format and the account that made ``signature`` and ``item_id``: they go back to it alone.
    ``signature`` proves to that provider that the part is unchanged. ``extras`` hold, by dialect, fields of the part
    that the middle does not know, as JSON: they are sent to that dialect alone.
    """

    signature: str | None = None
    item_id: str | None = None
    origin: str | None = None
    cache: CacheMark | None = None
    extras: dict[str, dict[str, Any]] | None = None


class Citation(msgspec.Struct, kw_only=True):
    """Refer a text to its source. ``start`` and ``end`` count characters of the text that cites, end exclusive.

    ``raw`` is the citation as ``dialect`` writes it, so that it returns to that dialect unchanged.
    """

    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    start: int | None = None
    end: int | None = None
    dialect: str | None = None
    raw: msgspec.Raw | None = None


class Text(Part):
    """Hold text, with the citations that belong to it."""

    text: str = ""
    citations: list[Citation] = []


class Media(Part):
    """Hold a medium by exactly one of ``url``, ``data`` (base64) and ``file_id``.

    ``detail`` is the resolution asked for, ``transcript`` the text of an audio answer.
    """

    kind: MediaKind
    media_type: str | None = None
    url: str | None = None
    data: str | None = None
    file_id: str | None = None
    name: str | None = None
    detail: str | None = None
    transcript: str | None = None


class ToolCall(Part):
    """Hold a call as the model wrote it: ``arguments`` is JSON text for a function, any text for a custom tool.

    ``call_id`` pairs the call with its result; ``item_id`` is the id of the item in APIs that have both.
    """

    call_id: str = ""
    name: str = ""
    arguments: str = ""
    kind: ToolKind = "function"


class ToolResult(Part):
    """Hold the result of the call ``call_id``."""

    call_id: str
    content: list[Text | Media | Opaque] = []
    is_error: bool = False
    name: str | None = None


class Reasoning(Part):
    """Hold reasoning: readable ``text``, a ``summary`` of it, or ``encrypted`` text that only its origin can read.

    ``format`` is the reference's name of the kind of token in ``signature`` and ``encrypted``.
    """

    text: str = ""
    summary: bool = False
    encrypted: str | None = None
    format: str | None = None


class Refusal(Part):
    """Hold the text by which a model refuses."""

    text: str = ""


class HostedUse(msgspec.Struct, frozen=True):
    """Describe a call of a tool that the provider runs itself, or the ``result`` of one."""

    tool: str
    arguments: str = ""
    result: str = ""
    call_id: str | None = None


class Opaque(Part):
    """Hold what only ``dialect`` can express, as its JSON; ``text`` stands for it in every other dialect.

    ``hosted`` is set for a call that the provider ran, and for its result: they are no words of the model's.
    """

    dialect: str
    raw: msgspec.Raw
    text: str | None = None
    hosted: HostedUse | None = None


AnyPart = Text | Media | ToolCall | ToolResult | Reasoning | Refusal | Opaque


def is_signed_apart(part: AnyPart) -> bool:
    """Return whether a part that is no reasoning is signed: its maker alone reads the reasoning in the signature."""
    return part.signature is not None and not isinstance(part, Reasoning)
