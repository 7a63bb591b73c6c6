"""Turn the start, the deltas and the end of one content block into the events of one part."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from router_service.core.events import Event, PartBegan, PartDelta, PartEnded
from router_service.core.parts import AnyPart, Citation, HostedUse, Media, Opaque, Reasoning, Text, ToolCall
from router_service.core.readable_text import readable_text
from router_service.providers.custom_tools import custom_text
from router_service.providers.formats.bedrock_converse.errors import no_converse
from router_service.providers.formats.bedrock_converse.media import media_type_of
from router_service.providers.formats.bedrock_converse.names import DIALECT
from router_service.providers.gathered_text import GatheredText, text_of

NextIndex = Callable[[], int]
Delta = dict[str, Any]


class BlockReader(Protocol):
    """Read one block. Each method returns events in order."""

    def delta(self, delta: Delta) -> list[Event]:
        """Read a delta; one that is not for this kind of block says nothing."""

    def end(self) -> list[Event]:
        """Read the end of the block."""


class LazyPart:
    """Begin a part with its first content, so that an empty block makes none."""

    __slots__ = ("_index", "_next_index", "part")

    def __init__(self, part: AnyPart, next_index: NextIndex) -> None:
        self.part = part
        self._next_index = next_index
        self._index = -1

    @property
    def has_begun(self) -> bool:
        """Return whether the part has content."""
        return self._index >= 0

    def begin(self) -> list[Event]:
        """Return the event that begins the part, if it has not begun."""
        if self._index >= 0:
            return []
        self._index = self._next_index()
        return [PartBegan(0, self._index, self.part)]

    def add(self, *, text: str = "", data: str = "", citation: Citation | None = None) -> list[Event]:
        """Return the events that add content."""
        if self._index >= 0:
            return [PartDelta(choice=0, index=self._index, text=text, data=data, citation=citation)]
        return [*self.begin(), PartDelta(choice=0, index=self._index, text=text, data=data, citation=citation)]

    def end(self, signature: str | None = None) -> list[Event]:
        """Return the event that ends the part, if it has begun."""
        return [PartEnded(choice=0, index=self._index, signature=signature)] if self._index >= 0 else []


class TextReader:
    """Read text and the citations that belong to it."""

    __slots__ = ("_part",)

    def __init__(self, origin: str, next_index: NextIndex) -> None:
        self._part = LazyPart(Text(origin=origin), next_index)

    def delta(self, delta: Delta) -> list[Event]:
        text = delta.get("text")
        if isinstance(text, str):
            return self._part.add(text=text) if text else []
        cited = delta.get("citation")
        return self._part.add(citation=_citation(cited)) if isinstance(cited, dict) and cited else []

    def end(self) -> list[Event]:
        return self._part.end()


class ReasoningReader:
    """Read reasoning with its signature, or reasoning that only the vendor can read."""

    __slots__ = ("_format", "_hidden", "_next_index", "_origin", "_part", "_signature")

    def __init__(self, origin: str, token_format: str | None, next_index: NextIndex) -> None:
        self._origin, self._format, self._next_index = origin, token_format, next_index
        self._part = LazyPart(Reasoning(origin=origin, format=token_format), next_index)
        self._signature = GatheredText(no_converse)
        self._hidden: list[str] = []

    def delta(self, delta: Delta) -> list[Event]:
        content = delta.get("reasoningContent")
        if not isinstance(content, dict):
            return []
        self._signature.add(text_of(content.get("signature")))
        hidden, text = text_of(content.get("redactedContent")), text_of(content.get("text"))
        if hidden:
            self._signature.count(len(hidden))
            self._hidden.append(hidden)
        return self._part.add(text=text) if text else []

    def end(self) -> list[Event]:
        signature = self._signature.text() or None
        found = self._part.begin() if signature and not self._part.has_begun else []
        found += self._part.end(signature)
        if self._hidden:
            hidden = Reasoning(encrypted=_joined(self._hidden), origin=self._origin, format=self._format)
            part = LazyPart(hidden, self._next_index)
            found += part.begin() + part.end()
        return found


class ArgumentsReader:
    """Read the input of a tool as deltas of ``part``: a call, or the text that a forced tool stands for.

    With ``custom`` the text is the one argument of the function that stands for a custom tool; it can be read from
    complete JSON alone.
    """

    __slots__ = ("_gathered", "_is_empty", "_part")

    def __init__(self, part: ToolCall | Text, next_index: NextIndex, *, custom: bool = False) -> None:
        self._part = LazyPart(part, next_index)
        self._gathered = GatheredText(no_converse) if custom else None
        self._is_empty = True

    def start(self) -> list[Event]:
        """Return the event that begins the part, which may stay without content."""
        return self._part.begin()

    def delta(self, delta: Delta) -> list[Event]:
        text = input_of(delta)
        if not text:
            return []
        self._is_empty = False
        if self._gathered is not None:
            self._gathered.add(text)
            return []
        return self._part.add(text=text)

    def end(self) -> list[Event]:
        found: list[Event] = []
        if self._gathered is not None:
            found = self._part.add(text=custom_text(self._gathered.text() or "{}"))
        elif self._is_empty:
            # A call without arguments has no delta.
            found = self._part.add(text="{}")
        return found + self._part.end()


class MediaReader:
    """Read an image that the model has made."""

    __slots__ = ("_part",)

    def __init__(self, form: str, origin: str, next_index: NextIndex) -> None:
        part = Media(kind="image", media_type=media_type_of("image", form), origin=origin)
        self._part = LazyPart(part, next_index)

    def delta(self, delta: Delta) -> list[Event]:
        image = delta.get("image")
        source = image.get("source") if isinstance(image, dict) else None
        data = text_of(source.get("bytes")) if isinstance(source, dict) else ""
        return self._part.add(data=data) if data else []

    def end(self) -> list[Event]:
        return self._part.end()


class HostedReader:
    """Read a call that the vendor runs, or its result. The part holds the complete block, so it begins at its end."""

    __slots__ = ("_block", "_input", "_name", "_next_index", "_origin")

    def __init__(self, name: str, block: dict[str, Any], origin: str, next_index: NextIndex) -> None:
        self._name, self._block = name, dict(block)
        self._origin, self._next_index = origin, next_index
        self._input = GatheredText(no_converse)

    def delta(self, delta: Delta) -> list[Event]:
        self._input.add(input_of(delta))
        results = delta.get("toolResult")
        if isinstance(results, list):
            self._input.count(len(msgspec.json.encode(results)))
            known = self._block.get("content")
            self._block["content"] = [*(known if isinstance(known, list) else []), *results]
        return []

    def end(self) -> list[Event]:
        if self._name == "toolUse" and "input" not in self._block:
            self._block["input"] = _parsed(self._input.text())
        return hosted_part(self._name, self._block, self._origin, self._next_index)


def hosted_part(name: str, block: dict[str, Any], origin: str, next_index: NextIndex) -> list[Event]:
    """Return the events of a block that only this dialect has."""
    text, call_id = readable_text(block), text_of(block.get("toolUseId")) or None
    if name == "toolUse":
        arguments = msgspec.json.encode(block.get("input") or {}).decode()
        hosted = HostedUse(text_of(block.get("name")), arguments=arguments, call_id=call_id)
    else:
        hosted = HostedUse(text_of(block.get("type")) or "tool", result=text or "", call_id=call_id)
    raw = msgspec.Raw(msgspec.json.encode({name: block}))
    part = LazyPart(Opaque(dialect=DIALECT, raw=raw, text=text, origin=origin, hosted=hosted), next_index)
    return part.begin() + part.end()


def input_of(delta: Delta) -> str:
    """Return the piece of a tool's input that a delta has."""
    use = delta.get("toolUse")
    return text_of(use.get("input")) if isinstance(use, dict) else ""


def _citation(raw: dict[str, Any]) -> Citation:
    """Return a citation. Source: Amazon Bedrock API reference: CitationsDelta, CitationLocation."""
    location = raw.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    sources = raw.get("sourceContent")
    pieces = sources if isinstance(sources, list) else []
    cited = "".join(text_of(one.get("text")) for one in pieces if isinstance(one, dict))
    return Citation(
        url=text_of(web.get("url")) or None if isinstance(web, dict) else None,
        title=text_of(raw.get("title")) or None,
        cited_text=cited or None,
        dialect=DIALECT,
        raw=msgspec.Raw(msgspec.json.encode(raw)),
    )


def _joined(pieces: list[str]) -> str:
    """Return the base64 of the bytes of all ``pieces``, each of which is base64."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError, ValueError):
        return {}
