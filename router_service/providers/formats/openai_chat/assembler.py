"""Turn the fitted pieces of an answer to events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from router_service.core.events import Event, Finished, PartBegan, PartDelta, PartEnded
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.providers.formats.openai_chat.dialect import NAME
from router_service.providers.formats.openai_chat.odd_types import fitted_id
from router_service.providers.formats.openai_chat.wire import (
    NULL,
    Audio,
    CallDelta,
    Function,
    Piece,
    VerifiedDelta,
    encoded_json,
)
from router_service.providers.wire_format import DecodeContext

_Key = tuple[str, int | None]
_TEXT: _Key = ("text", None)
_REFUSAL: _Key = ("refusal", None)
_REASONING: _Key = ("reasoning.text", None)


class _ChoiceParts:
    """Hold the parts of one choice: the open one with text, open tool calls by position, and open audio."""

    def __init__(self) -> None:
        self.count = 0
        self.key: _Key | None = None
        self.text = 0
        self.signature: str | None = None
        self.calls: dict[int, int] = {}
        self.audio: int | None = None
        self.legacy_call: int | None = None


class Assembler:
    """Assemble the pieces of one answer. They must come in order, and each choice ends with its finish reason."""

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._choices: dict[int, _ChoiceParts] = {}

    def take(self, pieces: Iterable[Piece]) -> list[Event]:
        """Return the events of ``pieces``."""
        events: list[Event] = []
        for piece in pieces:
            parts = self._choices.get(piece.index)
            if parts is None:
                parts = self._choices[piece.index] = _ChoiceParts()
            _PieceEvents(piece, parts, self._context, events).add()
        return events


class _PieceEvents:
    """Add the events of one piece to ``events``."""

    def __init__(self, piece: Piece, parts: _ChoiceParts, context: DecodeContext, events: list[Event]) -> None:
        self._choice, self._piece, self._parts = piece.index, piece, parts
        self._context, self._events = context, events
        logprobs = piece.logprobs
        self._logprobs = logprobs if isinstance(logprobs, msgspec.Raw) and logprobs != NULL else None
        self._extras = {NAME: piece.extras} if piece.extras else {}

    def add(self) -> None:
        said = self._piece.said
        self._reason(said)
        if said.content:
            self._say(_TEXT, Text(), said.content)
        if said.refusal:
            self._say(_REFUSAL, Refusal(), said.refusal)
        for annotation in said.annotations or ():
            self._cite(annotation)
        for image in said.images or ():
            self._whole(_image(image))
        if said.audio:
            self._hear(said.audio)
        for call in said.tool_calls or ():
            self._call(call)
        if said.function_call:
            self._legacy_call(said.function_call)
        if self._logprobs is not None and self._parts.key in (_TEXT, _REFUSAL):
            self._delta(self._parts.text)
        if self._piece.reason is not None:
            self._finish()

    def _begin(self, part: AnyPart) -> int:
        index = self._parts.count
        self._parts.count += 1
        self._events.append(PartBegan(self._choice, index, part))
        return index

    def _whole(self, part: AnyPart) -> None:
        self._end_text()
        self._events.append(PartEnded(choice=self._choice, index=self._begin(part)))

    def _delta(self, index: int, text: str = "", data: str = "", transcript: str = "") -> None:
        self._events.append(
            PartDelta(
                choice=self._choice,
                index=index,
                text=text,
                data=data,
                transcript=transcript,
                logprobs=self._logprobs if self._parts.key in (_TEXT, _REFUSAL) else None,
                extras=self._extras,
            )
        )
        if self._parts.key in (_TEXT, _REFUSAL):
            self._logprobs = None
        self._extras = {}

    def _open(self, key: _Key, part: AnyPart) -> int:
        """Return the index of the open part ``key``, which ``part`` begins if another is open."""
        parts = self._parts
        if parts.key != key:
            self._end_text()
            parts.key, parts.text = key, self._begin(part)
        return parts.text

    def _say(self, key: _Key, part: AnyPart, text: str) -> None:
        self._delta(self._open(key, part), text)

    def _end_text(self) -> None:
        parts = self._parts
        if parts.key is not None:
            self._events.append(PartEnded(choice=self._choice, index=parts.text, signature=parts.signature))
            parts.key = parts.signature = None

    def _reason(self, said: VerifiedDelta) -> None:
        readable = False
        for detail in said.reasoning_details or ():
            # A chunk of documented types may have details of another shape.
            if isinstance(detail.get("type"), str):
                readable = self._detail(detail) or readable
        text = said.reasoning or said.reasoning_content
        if text and not readable:
            self._say(_REASONING, Reasoning(), text)

    def _detail(self, detail: dict[str, Any]) -> bool:
        """Add one of ``reasoning_details``; return whether it can be read."""
        kind, index = detail["type"], detail.get("index")
        key = kind, index if isinstance(index, int) else None
        text = detail.get("summary" if kind == "reasoning.summary" else "text")
        data, signature = detail.get("data"), detail.get("signature")
        if kind == "reasoning.encrypted":
            if isinstance(data, str) and data:
                self._whole(self._reasoning(detail, encrypted=data))
            return False
        if kind not in ("reasoning.text", "reasoning.summary"):
            raw = msgspec.Raw(encoded_json(detail))
            self._whole(Opaque(dialect=NAME, raw=raw, origin=self._context.origin))
            return False
        if isinstance(text, str) and text:
            self._say(key, self._reasoning(detail, summary=kind == "reasoning.summary"), text)
        if isinstance(signature, str) and signature:
            self._open(key, self._reasoning(detail))
            self._parts.signature = signature
        return isinstance(text, str) and bool(text)

    def _reasoning(self, detail: dict[str, Any], *, summary: bool = False, encrypted: str | None = None) -> Reasoning:
        style = detail.get("format")
        return Reasoning(
            summary=summary,
            encrypted=encrypted,
            format=style if isinstance(style, str) else None,
            item_id=fitted_id(detail.get("id")),
            origin=self._context.origin,
        )

    def _cite(self, annotation: dict[str, Any]) -> None:
        index = self._open(_TEXT, Text())
        citation = citation_of(annotation)
        self._events.append(PartDelta(choice=self._choice, index=index, citation=citation, extras=self._extras))
        self._extras = {}

    def _hear(self, audio: Audio) -> None:
        if self._parts.audio is None:
            part = Media(kind="audio", item_id=fitted_id(audio.get("id")), origin=self._context.origin)
            self._parts.audio = self._begin(part)
        data, transcript = _text(audio.get("data")), _text(audio.get("transcript"))
        if "expires_at" in audio:
            own = self._extras.get(NAME, {})
            self._extras = {NAME: {**own, "audio": {"expires_at": audio["expires_at"]}}}
        if data or transcript or self._extras:
            self._delta(self._parts.audio, data=data, transcript=transcript)

    def _call(self, call: CallDelta) -> None:
        self._end_text()
        parts, position = self._parts, call.index
        assert isinstance(position, int)
        custom, function = call.custom, call.function
        name = (custom.name if custom else function.name if function else "") or ""
        text = (custom.input if custom else function.arguments if function else "") or ""
        if position not in parts.calls:
            begun = ToolCall(call_id=call.id or "", name=name, kind="custom" if custom else "function")
            parts.calls[position] = self._begin(begun)
        if text:
            self._delta(parts.calls[position], text)

    def _legacy_call(self, call: Function) -> None:
        self._end_text()
        if self._parts.legacy_call is None:
            call_id = f"call_{call_stem(self._context, self._choice)}_f"
            self._parts.legacy_call = self._begin(ToolCall(call_id=call_id, name=call.name or ""))
        if call.arguments:
            self._delta(self._parts.legacy_call, call.arguments)

    def _finish(self) -> None:
        parts, piece = self._parts, self._piece
        assert piece.reason is not None
        self._end_text()
        open_parts = [*parts.calls.values(), parts.audio, parts.legacy_call]
        for index in sorted(index for index in open_parts if index is not None):
            self._events.append(PartEnded(choice=self._choice, index=index))
        self._events.append(Finished(choice=self._choice, reason=piece.reason, native=piece.native))


def call_stem(context: DecodeContext, choice: int) -> str:
    """Return the stem of the ids of tool calls that a provider gave none."""
    return f"{context.generation_id or 'gen'}_{choice}"


def citation_of(annotation: dict[str, Any]) -> Citation:
    """Return the citation of an annotation, which is kept as it is for clients of the same dialect."""
    found = annotation.get("url_citation")
    cited = found if isinstance(found, dict) else {}
    start, end = cited.get("start_index"), cited.get("end_index")
    return Citation(
        url=_text(cited.get("url")) or None,
        title=_text(cited.get("title")) or None,
        cited_text=_text(cited.get("content")) or None,
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
        dialect=NAME,
        raw=msgspec.Raw(encoded_json(annotation)),
    )


def _image(image: dict[str, Any]) -> Media:
    url = image["image_url"]["url"]
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return Media(kind="image", media_type=head[5:-7] or None, data=data)
    return Media(kind="image", url=url)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
