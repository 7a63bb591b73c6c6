"""Remove the secrets of a provider's account from a stream, also where the provider cuts them over several deltas.

Each text of the answer is redacted by itself (``cut_secrets.py``): the content, the reasoning and the refusal of a
choice, the arguments of each of its calls, transcripts, and what a hosted tool is said to write. What is held back is
passed on before its part or its choice ends, and before the end of the stream, which may be a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from router_service.core.answer import Batch, DeltaFrame, EventBatch, LazyBatch, SplicedChoice, TextBatch
from router_service.core.events import (
    Ended,
    Event,
    Failed,
    Finished,
    PartBegan,
    PartDelta,
    PartEnded,
    PartProgressed,
)
from router_service.core.parts import Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.providers.cut_secrets import TextRedactor
from router_service.providers.redaction import MARK, NO_SECRETS, SecretRedactor
from router_service.providers.spliced_texts import CONTENT, REFUSAL, Place, delta_with, texts_of, with_texts

_TOLD = 1 - MARK
_NULL = Raw(b"null")
_QUOTE = ord('"')
_encode = msgspec.json.encode
_decode_text = msgspec.json.Decoder(str).decode
# A choice has one text of each of these kinds, whose parts follow each other, and may be spliced.
_KINDS: dict[type, str] = {Text: CONTENT, Refusal: REFUSAL, Reasoning: "reasoning"}


class _Field(TextRedactor):
    """Redact one text of a choice: that of a part of ``kind``, if it is one."""

    __slots__ = ("kind",)

    def __init__(self, redactor: SecretRedactor, kind: type | None = None) -> None:
        super().__init__(redactor)
        self.kind = kind

    def rest(self, choice: int, index: int) -> list[Event]:
        """Return the delta that tells what was held back of the part ``index``."""
        if not (text := self.end()):
            return []
        if self.kind is Media:
            return [PartDelta(choice=choice, index=index, transcript=text)]
        return [PartDelta(choice=choice, index=index, text=text)]


_UNSELECTED = _Field(NO_SECRETS)


class StreamRedactor:
    """Redact the batches of one stream, in order. Those of ``dialect`` are spliced, all others are read as events."""

    __slots__ = (
        "_at", "_call", "_choice", "_dialect", "_field", "_frame", "_items", "_mark", "_marks", "_redactor", "_texts",
    )  # fmt: skip

    def __init__(self, redactor: SecretRedactor, dialect: str | None = None) -> None:
        self._redactor = redactor
        self._marks = redactor.marks
        # The only one of them, or what is in every text.
        self._mark = self._marks[0] if len(self._marks) == 1 else ""
        self._dialect = dialect
        # By choice, and by the index of a part or the place in a spliced delta; without the selected one until another
        # is selected, since a dictionary with an entry is most of what an idle stream would keep here.
        self._texts: dict[tuple[int, int | Place], _Field] = {}
        # What the tools of a provider are said to write, by choice and id, with the last event of it.
        self._items: dict[tuple[int, str | None], tuple[_Field, PartProgressed]] | None = None
        # Most deltas add to the same text as the one before, and most spliced texts have its frame.
        self._choice = -1
        self._at: int | Place = ""
        self._call = -1
        self._field = _UNSELECTED
        self._frame: DeltaFrame | None = None

    def take(self, batches: list[Batch]) -> list[Batch]:
        """Return ``batches`` without secrets."""
        if len(batches) == 1:
            # Most reads bring one piece of the same text as the one before, in which no secret begins.
            batch, said = batches[0], None
            if batch.dialect is None or batch.dialect != self._dialect:
                events = batch.events()
                if type(batch) is not EventBatch:
                    batches = [EventBatch(events)]
                if len(events) == 1:
                    event = events[0]
                    if type(event) is PartDelta and event.index == self._at and event.choice == self._choice:
                        said = event.text
                elif len(events) == 3 and self._is_harmless_call(events):
                    return batches
            elif type(batch) is TextBatch:
                said = batch.said if batch.frame is self._frame else None
            elif type(batch) is LazyBatch:
                said = self._only_text(batch)
            if said:
                field = self._field
                text = field.told + said
                if self._mark not in text:
                    field.told = text[_TOLD:]
                    return batches
        found: list[Batch] = []
        for batch in batches:
            if batch.dialect is None or batch.dialect != self._dialect:
                self._take_events(batch, found)
                continue
            if type(self._at) is int:
                self._leave_events(found)
            if type(batch) is TextBatch:
                self._take_text(batch, found)
            else:
                self._take_spliced(batch, found)
        return found

    def _only_text(self, batch: LazyBatch) -> str | None:
        """Return the text that a spliced batch consists of, if it is that of the selected field."""
        if len(batch.said) != 1:
            return None
        said, choice = batch.said[0], batch.spliced[0]
        if choice.index != self._choice or said.refusal or said.audio or said.function_call:
            return None
        text: str | None = None
        if not batch.has_calls:
            text = said.content if self._at == CONTENT else None
        elif len(said.tool_calls) == 1 and not said.content:
            call = said.tool_calls[0]
            text = call.function.arguments if call.index == self._call and call.function else None
        return text if text and choice.finish_reason is None else None

    def _passes(self, text: str) -> bool:
        """Return whether ``text`` of the selected field needs no further look."""
        field = self._field
        joined = field.told + text
        for mark in self._marks:
            if mark in joined:
                return False
        field.told = joined[_TOLD:]
        return True

    def _select(self, choice: int, at: int | Place) -> None:
        if at != self._at or choice != self._choice:
            self._use(choice, at, self._fields().get((choice, at)) or _Field(self._redactor))

    def _fields(self) -> dict[tuple[int, int | Place], _Field]:
        """Return all fields, also the selected one."""
        if self._field is not _UNSELECTED:
            self._texts[self._choice, self._at] = self._field
        return self._texts

    def _use(self, choice: int, at: int | Place, field: _Field) -> None:
        self._choice, self._at, self._field, self._frame = choice, at, field, None
        self._call = at[1] if type(at) is tuple and at[0] == "arguments" else -1

    def _is_harmless_call(self, events: list[Event]) -> bool:
        """Return whether ``events`` are a whole call in which no secret begins."""
        began, said, ended = events
        if type(began) is not PartBegan or type(said) is not PartDelta or type(ended) is not PartEnded:
            return False
        call = began.part
        if type(call) is not ToolCall or call.arguments or not began.index == said.index == ended.index or self._items:
            return False
        text = said.text + (ended.signature or "")
        return not any(mark in text for mark in self._marks)

    def _take_events(self, batch: Batch, found: list[Batch]) -> None:
        events = batch.events()
        place = 0
        for event in events:
            if type(event) is not PartDelta:
                break
            if event.index != self._at or event.choice != self._choice:
                self._select(event.choice, event.index)
            if not self._passes(event.text or event.transcript):
                break
            place += 1
        else:
            found.append(batch if type(batch) is EventBatch else EventBatch(events))
            return
        checked = events[:place]
        for event in events[place:]:
            checked += self._checked(event, found)
        found.append(EventBatch(checked, has_content=batch.has_content))

    def _checked(self, event: Event, before: list[Batch]) -> Iterator[Event]:
        """Yield ``event`` and what was held back until it; add what is spliced of that to ``before``."""
        match event:
            case PartDelta():
                yield from self._add(event)
            case PartBegan():
                yield from self._rest_of_items(event.choice, event.part.item_id)
                yield self._begin(event)
            case PartEnded():
                yield from self._end(event)
            case PartProgressed():
                yield from self._progress(event)
            case Finished():
                yield from self._rest(before, event.choice)
                yield event
            case Ended() | Failed():
                yield from self._rest(before)
                yield event
            case _:
                yield event

    def _add(self, event: PartDelta) -> Iterator[Event]:
        self._select(event.choice, event.index)
        said = event.transcript or event.text
        text = self._field.feed(said)
        if text == said and not self._field.held:
            yield event
        elif text or event.citation is not None or event.data or event.extras:
            # The probabilities of other tokens than the client sees would tell what they are.
            changed = {"transcript" if event.transcript else "text": text}
            yield msgspec.structs.replace(event, logprobs=None, **changed)

    def _begin(self, event: PartBegan) -> PartBegan:
        choice, part = event.choice, event.part
        if isinstance(part, Opaque):
            return _with_part(event, **self._clean(part))
        kind = type(part)
        known = self._fields().pop((choice, _KINDS[kind]), None) if kind in _KINDS else None
        field = known or _Field(self._redactor)
        field.kind = kind
        self._use(choice, event.index, field)
        match part:
            case Text(text=said) | Reasoning(text=said) | Refusal(text=said) if said:
                return _with_part(event, text=field.feed(said))
            case ToolCall(arguments=said) if said:
                return _with_part(event, arguments=field.feed(said))
            case Media(transcript=str(said)) if said:
                return _with_part(event, transcript=field.feed(said))
        return event

    def _clean(self, part: Opaque) -> dict[str, Any]:
        """Return the fields of a part that a decoder may have put together of pieces."""
        text, hosted, redact = part.text, part.hosted, self._redactor.redact_text
        if hosted is not None:
            hosted = msgspec.structs.replace(hosted, arguments=redact(hosted.arguments), result=redact(hosted.result))
        raw = Raw(self._redactor.redact_bytes(bytes(part.raw)))
        return {"raw": raw, "text": redact(text) if text else text, "hosted": hosted}

    def _end(self, event: PartEnded) -> Iterator[Event]:
        choice, index = event.choice, event.index
        fields = self._fields()
        field = fields.pop((choice, index), None)
        if field is not None:
            yield from field.rest(choice, index)
            if field.kind in _KINDS:
                fields[choice, _KINDS[field.kind]] = field
            if field is self._field:
                self._use(-1, "", _UNSELECTED)
        if event.signature is not None:
            event = msgspec.structs.replace(event, signature=self._redactor.redact_text(event.signature))
        yield event

    def _progress(self, event: PartProgressed) -> Iterator[Event]:
        items = self._items = {} if self._items is None else self._items
        key = event.choice, event.part.item_id
        known = items.get(key)
        if known is not None and known[1].step != event.step:
            yield from self._rest_of_items(*key)
            known = None
        raw = event.fields.get("delta")
        if raw is None or memoryview(raw)[0] != _QUOTE:
            yield event
            return
        field = _Field(self._redactor) if known is None else known[0]
        items[key] = field, event
        yield _with_delta(event, field.feed(_decode_text(raw)))

    def _rest_of_items(self, choice: int | None, item_id: str | None = None) -> Iterator[Event]:
        """Yield what was held back of an item, or of all of ``choice``, or of all."""
        for key in list(self._items or ()):
            if self._items and choice in (None, key[0]) and item_id in (None, key[1]):
                field, event = self._items.pop(key)
                if rest := field.end():
                    yield _with_delta(event, rest)

    def _rest(self, before: list[Batch], choice: int | None = None) -> Iterator[Event]:
        """Yield what was held back of ``choice``, or of all; add what is spliced of it to ``before``."""
        yield from self._rest_of_items(choice)
        for (number, at), field in self._fields().items():
            if not field.held or choice not in (None, number):
                continue
            if isinstance(at, int):
                yield from field.rest(number, at)
            else:
                spliced = [SplicedChoice(number, delta_with(at, field.end()))]
                before.append(LazyBatch(self._dialect, spliced, True, list, None, isinstance(at, tuple)))

    def _leave_events(self, found: list[Batch]) -> None:
        """Pass on what is held of parts: their reader will see no event of their end."""
        rest = [
            event
            for (choice, at), field in self._fields().items()
            if isinstance(at, int)
            for event in field.rest(choice, at)
        ]
        if rest:
            found.append(EventBatch(rest))
        self._use(-1, "", _UNSELECTED)

    def _take_text(self, batch: TextBatch, found: list[Batch]) -> None:
        self._select(batch.frame.index, CONTENT)
        said = batch.said
        text = self._field.feed(said)
        self._frame = batch.frame
        if text == said:
            found.append(batch)
        elif text:
            found.append(TextBatch(batch.frame, _encode(text), batch.dialect, batch.expand, text))

    def _take_spliced(self, batch: Batch, found: list[Batch]) -> None:
        said = batch.said if type(batch) is LazyBatch else ()
        for choice, one in zip(batch.spliced, said, strict=False):
            index, is_last = choice.index, choice.finish_reason is not None
            changed: dict[Place, str] = {}
            if one.content and (other := self._changed(index, CONTENT, one.content, is_last)) is not None:
                changed[CONTENT] = other
            if one.tool_calls or one.refusal or one.audio or one.function_call:
                for place, text in texts_of(one):
                    if (other := self._changed(index, place, text, is_last)) is not None:
                        changed[place] = other
            if changed:
                choice.delta = with_texts(choice.delta, changed)
                choice.logprobs = UNSET if choice.logprobs is UNSET else _NULL
            if is_last:
                found += [EventBatch([event]) for event in self._rest(found, index)]
        found.append(batch)

    def _changed(self, choice: int, place: Place, text: str, is_last: bool) -> str | None:
        """Return what to pass on in place of ``text``, after which the choice may end; ``None`` for the same."""
        if self._at != place or self._choice != choice:
            self._select(choice, place)
        if self._passes(text):
            return None
        found = self._field.feed(text) + (self._field.end() if is_last else "")
        return None if found == text else found


def _with_part(event: PartBegan, **fields: Any) -> PartBegan:
    return PartBegan(event.choice, event.index, msgspec.structs.replace(event.part, **fields))


def _with_delta(event: PartProgressed, text: str) -> PartProgressed:
    return msgspec.structs.replace(event, fields={**event.fields, "delta": Raw(_encode(text))})
