"""Turn what a stream or a response says of one output item into the events of its parts.

An item may come whole, as deltas, or both: each reader takes from what comes later only what it has not seen. Source:
OpenAI API reference: Responses, streaming events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from router_service.core.events import Event, PartBegan, PartDelta, PartEnded, PartProgressed
from router_service.core.outgoing_json import outgoing_json
from router_service.core.parts import Citation, HostedUse, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.readable_text import readable_text
from router_service.providers.custom_tools import custom_text
from router_service.providers.formats.openai_responses.dialect import token_format_at
from router_service.providers.formats.openai_responses.errors import no_response
from router_service.providers.formats.openai_responses.names import DIALECT
from router_service.providers.formats.openai_responses.progress import PLACES
from router_service.providers.wire_format import DecodeContext

# Arguments are gathered where only their complete JSON says something; no documented ones come near this size.
MAX_PENDING = 32 * 1024 * 1024
_CALL = "_call"
NewIndex = Callable[[], int]
Item = dict[str, Any]
Token = dict[str, Any]


class ItemReader(Protocol):
    """Read one item. Each method returns events in order."""

    def add(self, kind: str, index: int, text: str, logprobs: Raw | None = None) -> list[Event]:
        """Read a delta of the part ``index`` of this ``kind``."""

    def complete(self, kind: str, index: int, part: dict[str, Any]) -> list[Event]:
        """Read a part whose text is complete."""

    def finish(self, item: Item | None) -> list[Event]:
        """End the item; ``item`` is the whole of it, or ``None`` where the provider does not repeat it."""


class _WrittenPart:
    """Follow one text: the part begins with its first content, so that an empty one makes none."""

    __slots__ = ("_citations", "_index", "_length", "_new_index", "_part")

    def __init__(self, part: Text | Refusal | Reasoning, new_index: NewIndex) -> None:
        self._part, self._new_index = part, new_index
        self._index: int | None = None
        self._length = self._citations = 0

    def write(self, text: str, logprobs: Raw | None = None) -> list[Event]:
        if not text:
            return []
        self._length += len(text)
        found, index = self._begin()
        found.append(PartDelta(choice=0, index=index, text=text, logprobs=logprobs))
        return found

    def complete(self, text: str, tokens: Sequence[Token] = (), field: str = "content") -> list[Event]:
        """Read the complete text; its tokens come one by one, as in a stream, if they are known and nothing has."""
        if self._length or not tokens or "".join(token["token"] for token in tokens) != text:
            return self.write(text[self._length :])
        return [event for token in tokens for event in self.write(token["token"], _probable([token], field))]

    def cite(self, raw: Any, number: int | None = None) -> list[Event]:
        """Read an annotation, the ``number``-th of this text; one that was read already says nothing."""
        if not isinstance(raw, dict) or (number is not None and number < self._citations):
            return []
        self._citations += 1
        found, index = self._begin()
        found.append(PartDelta(choice=0, index=index, citation=_citation(raw)))
        return found

    def end(self) -> list[Event]:
        return [] if self._index is None else [PartEnded(choice=0, index=self._index)]

    def _begin(self) -> tuple[list[Event], int]:
        if self._index is not None:
            return [], self._index
        self._index = self._new_index()
        return [PartBegan(0, self._index, self._part)], self._index


class MessageReader:
    """Read a message: texts and refusals."""

    def __init__(self, item: Item, origin: str, new_index: NewIndex) -> None:
        self._item_id, self._origin, self._new_index = id_of(item), origin, new_index
        self._phase = item.get("phase")
        self._parts: dict[tuple[str, int], _WrittenPart] = {}

    def add(self, kind: str, index: int, text: str, logprobs: Raw | None = None) -> list[Event]:
        return self._at(kind, index).write(text, logprobs)

    def cite(self, index: int, raw: Any, number: int | None) -> list[Event]:
        """Read an annotation of the text ``index``."""
        return self._at("output_text", index).cite(raw, number)

    def complete(self, kind: str, index: int, part: dict[str, Any]) -> list[Event]:
        field = "refusal" if kind == "refusal" else "text"
        at = self._at("refusal" if kind == "refusal" else "output_text", index)
        tokens = _tokens(part.get("logprobs"))
        found = at.complete(string_of(part.get(field)), tokens, "refusal" if kind == "refusal" else "content")
        annotations = part.get("annotations")
        for number, raw in enumerate(annotations if isinstance(annotations, list) else ()):
            found += at.cite(raw, number)
        return found

    def finish(self, item: Item | None) -> list[Event]:
        found: list[Event] = []
        content = item.get("content") if item is not None else None
        if isinstance(content, str):
            content = [{"type": "output_text", "text": content}]
        for index, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict):
                found += self.complete(string_of(part.get("type")), index, part)
        return found + [event for part in self._parts.values() for event in part.end()]

    def _at(self, kind: str, index: int) -> _WrittenPart:
        part = self._parts.get((kind, index))
        if part is None:
            own = {DIALECT: {"phase": self._phase}} if isinstance(self._phase, str) else None
            made = (Refusal if kind == "refusal" else Text)(item_id=self._item_id, origin=self._origin, extras=own)
            part = self._parts[kind, index] = _WrittenPart(made, self._new_index)
        return part


class ReasoningReader:
    """Read reasoning: its summary, its readable text, and last what only the provider can read."""

    def __init__(self, item: Item, origin: str, new_index: NewIndex) -> None:
        self._new_index = new_index
        self._item_id, self._origin, self._format = id_of(item), origin, token_format_at(origin)
        self._parts: dict[tuple[str, int], _WrittenPart] = {}

    def add(self, kind: str, index: int, text: str, logprobs: Raw | None = None) -> list[Event]:  # noqa: ARG002
        return self._at(kind, index).write(text)

    def complete(self, kind: str, index: int, part: dict[str, Any]) -> list[Event]:
        return self._at(kind, index).complete(string_of(part.get("text")))

    def finish(self, item: Item | None) -> list[Event]:
        found: list[Event] = []
        whole = item or {}
        for field, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            parts = whole.get(field)
            for index, part in enumerate(parts if isinstance(parts, list) else ()):
                if isinstance(part, dict):
                    found += self.complete(kind, index, part)
        found += [event for part in self._parts.values() for event in part.end()]
        if encrypted := string_of(whole.get("encrypted_content")):
            index = self._new_index()
            sealed = self._part(encrypted=encrypted)
            found += [PartBegan(0, index, sealed), PartEnded(choice=0, index=index)]
        return found

    def _at(self, kind: str, index: int) -> _WrittenPart:
        part = self._parts.get((kind, index))
        if part is None:
            made = self._part(summary=kind == "summary_text")
            part = self._parts[kind, index] = _WrittenPart(made, self._new_index)
        return part

    def _part(self, *, summary: bool = False, encrypted: str | None = None) -> Reasoning:
        return Reasoning(
            summary=summary, encrypted=encrypted, item_id=self._item_id, origin=self._origin, format=self._format
        )


class CallReader:
    """Read a call of a function or of a custom tool; it begins when its name is known.

    With ``stands_for_custom`` the text of a custom tool is the one argument of the function; it can be read from
    complete JSON alone.
    """

    def __init__(self, item: Item, number: int, context: DecodeContext, new_index: NewIndex) -> None:
        self._context, self._number, self._new_index = context, number, new_index
        self._item = item
        self._index: int | None = None
        self._length = self._pending = 0
        self._pieces: list[str] = []
        self._whole = string_of(item.get("name")) in context.custom_tools and item.get("type") == "function_call"

    def begin(self) -> list[Event]:
        """Return the beginning of the call as soon as it has a name."""
        name = string_of(self._item.get("name"))
        if self._index is not None or not name:
            return []
        context, item = self._context, self._item
        own = {field: item[field] for field in ("namespace", "caller") if item.get(field) is not None}
        call = ToolCall(
            call_id=string_of(item.get("call_id")) or f"{context.generation_id or 'call'}_{self._number}",
            name=context.tool_names.get(name, name),
            kind="custom" if self._whole or item.get("type") == "custom_tool_call" else "function",
            item_id=id_of(item),
            origin=context.origin,
            extras={DIALECT: own} if own else None,
        )
        self._index = self._new_index()
        return [PartBegan(0, self._index, call)]

    def add(self, kind: str, index: int, text: str, logprobs: Raw | None = None) -> list[Event]:  # noqa: ARG002
        if not text:
            return []
        self._length += len(text)
        if self._index is None or self._whole:
            self._pending += len(text)
            if self._pending > MAX_PENDING:
                raise no_response(f"call of more than {MAX_PENDING} characters")
            self._pieces.append(text)
            return []
        return [PartDelta(choice=0, index=self._index, text=text)]

    def complete(self, kind: str, index: int, part: dict[str, Any]) -> list[Event]:
        return self.add(kind, index, _arguments(part)[self._length :])

    def finish(self, item: Item | None) -> list[Event]:
        if item is not None and self._index is None:
            self._item = {**item, **{name: value for name, value in self._item.items() if value not in (None, "")}}
            self._whole = string_of(item.get("name")) in self._context.custom_tools and item["type"] == "function_call"
        found = self.begin()
        if self._index is None:
            # Nobody can make a call without a name, and no provider takes one back.
            return []
        text = "".join(self._pieces) + (_arguments(item)[self._length :] if item is not None else "")
        if self._whole:
            text = custom_text(text)
        if text:
            found.append(PartDelta(choice=0, index=self._index, text=text))
        return [*found, PartEnded(choice=0, index=self._index)]


class HostedReader:
    """Read an item that only this dialect has. The part holds the complete item, so it begins at its end."""

    def __init__(self, item: Item, origin: str, new_index: NewIndex) -> None:
        self._item, self._origin, self._new_index = item, origin, new_index
        self._begun: Opaque | None = None

    def progress(self, step: str, body: dict[str, Any]) -> list[Event]:
        """Read an event that tells how far the item is; without an id nobody could find the item again."""
        item_id = id_of(self._item)
        if item_id is None:
            return []
        if self._begun is None:
            raw = Raw(msgspec.json.encode(self._item))
            self._begun = Opaque(dialect=DIALECT, raw=raw, item_id=item_id, origin=self._origin)
        fields = {name: Raw(msgspec.json.encode(value)) for name, value in body.items() if name not in PLACES}
        return [PartProgressed(0, self._begun, step, fields)]

    def add(self, kind: str, index: int, text: str, logprobs: Raw | None = None) -> list[Event]:  # noqa: ARG002
        return []

    def complete(self, kind: str, index: int, part: dict[str, Any]) -> list[Event]:  # noqa: ARG002
        return []

    def finish(self, item: Item | None) -> list[Event]:
        # A later event may have another id than the first one; the item is found again by the first.
        whole, index = item or self._item, self._new_index()
        item_id = id_of(self._item) or id_of(whole)
        raw = Raw(msgspec.json.encode(whole))
        part = Opaque(
            dialect=DIALECT,
            raw=raw,
            text=hosted_text(whole),
            item_id=item_id,
            origin=self._origin,
            hosted=_hosted_use(whole),
        )
        return [PartBegan(0, index, part), PartEnded(choice=0, index=index)]


def hosted_text(item: Item) -> str | None:
    """Return the text that stands for an item which other dialects have no word for."""
    action = item.get("action")
    if isinstance(action, dict):
        asked = {name: value for name, value in action.items() if name not in ("type", "sources")}
        return readable_text({"name": string_of(item.get("type")), "input": asked})
    return readable_text(item)


def _hosted_use(item: Item) -> HostedUse | None:
    kind = string_of(item.get("type"))
    if not kind.endswith(_CALL):
        return None
    asked = item.get("arguments") or item.get("code") or item.get("queries") or item.get("action") or ""
    found = [item.get(name) for name in ("output", "outputs", "results") if item.get(name)]
    return HostedUse(
        string_of(item.get("name")) or kind.removesuffix(_CALL),
        arguments=asked if isinstance(asked, str) else outgoing_json(asked).decode(),
        result="\n".join(one if isinstance(one, str) else outgoing_json(one).decode() for one in found),
        call_id=id_of(item),
    )


def _arguments(item: dict[str, Any]) -> str:
    """Return the arguments or the input of a call; some imitators send the object in place of its text."""
    for name in ("arguments", "input"):
        value = item.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            return msgspec.json.encode(value).decode()
    return ""


def _citation(raw: dict[str, Any]) -> Citation:
    start, end = raw.get("start_index"), raw.get("end_index")
    placed = isinstance(start, int) and isinstance(end, int) and 0 <= start <= end
    return Citation(
        url=string_of(raw.get("url")) or None,
        title=string_of(raw.get("title")) or string_of(raw.get("filename")) or None,
        start=start if placed else None,
        end=end if placed else None,
        dialect=DIALECT,
        raw=Raw(msgspec.json.encode(raw)),
    )


def logprobs_of(found: Any, kind: str) -> Raw | None:
    """Return log probabilities in the shape of the chat dialect, or ``None`` where there are none."""
    tokens = _tokens(found)
    return _probable(tokens, "refusal" if kind == "refusal" else "content") if tokens else None


def _probable(tokens: Sequence[Token], field: str) -> Raw:
    return Raw(msgspec.json.encode({field: tokens}))


def _tokens(found: Any) -> list[Token]:
    return [token for one in found if (token := _token(one)) is not None] if isinstance(found, list) else []


def _token(found: Any) -> Token | None:
    if not isinstance(found, dict) or not isinstance(found.get("token"), str) or not _is_number(found.get("logprob")):
        return None
    others = found.get("top_logprobs")
    ranked = [_ranked(one) for one in others if _is_ranked(one)] if isinstance(others, list) else []
    return _ranked(found) | {"top_logprobs": ranked}


def _is_ranked(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("token"), str) and _is_number(found.get("logprob"))


def _ranked(found: dict[str, Any]) -> dict[str, Any]:
    own = found.get("bytes")
    listed = isinstance(own, list) and all(isinstance(byte, int) for byte in own)
    return {"token": found["token"], "logprob": found["logprob"], "bytes": own if listed else None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def id_of(item: Item) -> str | None:
    """Return the id of an item, ``None`` for none."""
    return string_of(item.get("id")) or None


def string_of(value: Any) -> str:
    """Return ``value`` if it is text, else no text."""
    return value if isinstance(value, str) else ""
