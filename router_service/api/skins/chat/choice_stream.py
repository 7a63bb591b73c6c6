"""Turn the events of one choice to the deltas of chunks.

A message has one text, one reasoning, one refusal and a list of images, while parts may interleave. So the parts of
each of these follow each other in the order in which they began: the first open one is sent at once, and what later
ones say is kept until it has ended. Tool calls have an index and are never kept back.

SDKs add up the fields of deltas: role, names, ids and the format of reasoning are sent once, and every entry of a list
has an index.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw

from router_service.api.skins.chat import answer_fields
from router_service.api.skins.token_logprobs import merged_logprobs
from router_service.core.events import Finished, PartBegan, PartDelta, PartEnded
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.wire.chat import ChunkChoice, Delta, ReasoningDetail

Lane = Literal["content", "reasoning", "refusal", "images"]


class _OpenPart(msgspec.Struct):
    """Hold a part that has begun; ``part`` says what was not sent yet, ``length`` counts the characters of its text.

    ``index`` is its place in the list of its field. ``lane`` is ``None`` for parts that wait for no other.
    """

    part: AnyPart
    lane: Lane | None
    length: int = 0
    citations: list[Citation] = []
    index: int | None = None
    is_first: bool = False
    is_over: bool = False
    has_named_format: bool = False
    has_named_id: bool = False


class ChoiceStream:
    """Render one choice. ``found`` are the deltas that were not taken yet."""

    __slots__ = (
        "_annotation_count", "_content_length", "_created", "_detail_count", "_generation_id", "_has_audio",
        "_image_count", "_lanes", "_open", "_signed", "call_count", "found", "is_announced", "is_finished", "number",
    )  # fmt: skip

    def __init__(self, number: int, generation_id: str, created: int) -> None:
        self.number = number
        self.found: list[ChunkChoice] = []
        self.is_announced = False
        self.is_finished = False
        self.call_count = 0
        self._generation_id = generation_id
        self._created = created
        self._open: dict[int, _OpenPart] = {}
        self._lanes: dict[Lane, list[_OpenPart]] = {}
        self._content_length = 0
        self._detail_count = 0
        self._image_count = 0
        self._annotation_count = 0
        self._has_audio = False
        self._signed: list[tuple[ToolCall, str]] = []

    @property
    def has_open_reasoning(self) -> bool:
        """Return whether reasoning has begun and not ended."""
        return bool(self._lanes.get("reasoning"))

    def announce(self) -> None:
        """Send the role, without content."""
        if not self.is_announced:
            self._say(Delta())

    def begin(self, event: PartBegan) -> None:
        """Open a part."""
        part = msgspec.structs.replace(event.part)
        match part:
            case Text():
                opened = _OpenPart(part, "content", len(part.text), list(part.citations))
            case Reasoning():
                opened = _OpenPart(part, "reasoning")
            case Refusal():
                opened = _OpenPart(part, "refusal")
            case ToolCall(kind="function" | "custom"):
                opened = _OpenPart(part, None)
                self._begin_call(opened, part)
            case Media(kind="image"):
                opened = _OpenPart(part, "images")
            case Media(kind="audio") if not self._has_audio:
                opened = _OpenPart(part, None)
                self._has_audio = True
                audio_id = answer_fields.audio_id_of(part, self._generation_id, self.number)
                self._say(Delta(audio=answer_fields.audio(part, audio_id, self._created)))
            case Opaque() if answer_fields.server_tool_detail(part, 0) is not None:
                opened = _OpenPart(part, "reasoning")
            case Opaque() if part.text:
                opened = _OpenPart(part, "content", len(part.text))
            case _:
                # The message has no field for it.
                return
        self._open[event.index] = opened
        if opened.lane is not None:
            lane = self._lanes.setdefault(opened.lane, [])
            lane.append(opened)
            if len(lane) == 1:
                self._send_first(opened)

    def add(self, event: PartDelta) -> None:
        """Add to an open part; a part that the message has no field for is passed over."""
        opened = self._open.get(event.index)
        logprobs = event.logprobs
        if opened is not None:
            part = opened.part
            match part:
                case Text() | Reasoning() | Refusal():
                    opened.length += len(event.text)
                    if event.citation is not None:
                        opened.citations.append(event.citation)
                    if not opened.is_first:
                        part.text += event.text
                    elif event.text:
                        self._send_text(opened, event.text, logprobs)
                        return
                case ToolCall():
                    if event.text:
                        self._send_arguments(opened, part, event.text, logprobs)
                        return
                case Media(kind="image"):
                    part.data = (part.data or "") + event.data
                case Media():
                    if event.data or event.transcript:
                        fields = {"data": event.data, "transcript": event.transcript}
                        self._say(Delta(audio={name: value for name, value in fields.items() if value}), logprobs)
                        return
        if logprobs is not None:
            self._say(Delta(), logprobs)

    def end(self, event: PartEnded) -> None:
        """Close a part, and send what waited for it."""
        opened = self._open.pop(event.index, None)
        if opened is None:
            return
        opened.is_over = True
        part = opened.part
        part.signature = event.signature or part.signature
        part.item_id = event.item_id or part.item_id
        if isinstance(part, ToolCall) and part.signature:
            call_id = answer_fields.call_id_of(part, self._generation_id, self.number, opened.index or 0)
            self._signed.append((part, call_id))
        if opened.lane is None:
            return
        lane = self._lanes[opened.lane]
        over = 0
        while over < len(lane) and lane[over].is_over:
            self._send_end(lane[over])
            over += 1
            if over < len(lane):
                self._send_first(lane[over])
        del lane[:over]

    def end_reasoning(self, event: PartEnded) -> None:
        """Close a part if it is reasoning; other parts were sent as they came."""
        opened = self._open.get(event.index)
        if opened is not None and opened.lane == "reasoning":
            self.end(event)

    def finish(self, event: Finished, *, with_signatures: bool) -> None:
        """End the choice. A choice that has ended is not ended again."""
        if self.is_finished:
            return
        for call, call_id in self._signed if with_signatures else ():
            signature = answer_fields.call_signature(call, call_id, self._detail_count)
            if signature is not None:
                self._detail_count += 1
                self._say(Delta(reasoning_details=[signature]))
        self.is_finished = True
        delta = Delta() if self.is_announced else Delta(role="assistant")
        self.is_announced = True
        reason = answer_fields.finish_reason(event.reason)
        self.found.append(ChunkChoice(self.number, delta, reason, event.native))

    def _say(self, delta: Delta, logprobs: Raw | None = None) -> None:
        if not self.is_announced:
            self.is_announced = True
            if logprobs is None:
                delta.role = "assistant"
            else:
                # The openai SDK counts log probabilities twice in the first chunk of a choice after the first.
                self.found.append(ChunkChoice(self.number, Delta(role="assistant")))
        choice = ChunkChoice(self.number, delta)
        if logprobs is not None:
            choice.logprobs = merged_logprobs([logprobs]) or UNSET
        self.found.append(choice)

    def _send_first(self, opened: _OpenPart) -> None:
        """Send what a part says so far, now that no earlier one is open."""
        opened.is_first = True
        part = opened.part
        match part:
            case Text() | Reasoning() | Refusal():
                text, part.text = part.text, ""
                if text or (isinstance(part, Text) and not self.is_announced):
                    self._send_text(opened, text, None)
            case Opaque():
                if opened.lane == "content":
                    self._say(Delta(content=part.text))
                elif (detail := answer_fields.server_tool_detail(part, self._detail_count)) is not None:
                    self._detail_count += 1
                    self._say(Delta(reasoning_details=[detail]))

    def _send_text(self, opened: _OpenPart, text: str, logprobs: Raw | None) -> None:
        part = opened.part
        if isinstance(part, Reasoning):
            entry = answer_fields.piece_of(part, text, self._detail_index(opened))
            self._name(opened, part, entry)
            self._say(Delta(reasoning=text, reasoning_details=[entry]), logprobs)
        elif isinstance(part, Refusal):
            self._say(Delta(refusal=text), logprobs)
        else:
            self._say(Delta(content=text), logprobs)

    def _send_end(self, opened: _OpenPart) -> None:
        part = opened.part
        match part:
            case Text():
                found = [answer_fields.annotation(c, self._content_length, opened.length) for c in opened.citations]
                for number, one in enumerate(found, self._annotation_count):
                    one["index"] = number
                self._annotation_count += len(found)
                self._content_length += opened.length
                if found:
                    self._say(Delta(annotations=found))
            case Reasoning():
                self._end_reasoning(opened, part)
            case Opaque():
                self._content_length += opened.length
            case Media():
                image = answer_fields.image(part)
                if image is not None:
                    self._say(Delta(images=[image | {"index": self._image_count}]))
                    self._image_count += 1

    def _end_reasoning(self, opened: _OpenPart, part: Reasoning) -> None:
        """Send what closes reasoning: its signature and its encrypted text, and an id that came late."""
        is_said = opened.index is not None
        if not (part.signature or part.encrypted or (is_said and part.item_id and not opened.has_named_id)):
            return
        index = self._detail_index(opened)
        entries: list[ReasoningDetail] = []
        if is_said or not part.encrypted:
            # Some clients add the text of every entry, so that an entry without a text would be one with "undefined".
            entries.append(answer_fields.piece_of(part, "", index))
        if part.encrypted:
            data = answer_fields.reasoning_token(part, part.encrypted)
            entries.append(ReasoningDetail("reasoning.encrypted", data=data, index=index))
        if part.signature:
            entries[0].signature = answer_fields.reasoning_token(part, part.signature)
        elif is_said and part.encrypted:
            del entries[0]
        self._name(opened, part, entries[0])
        self._say(Delta(reasoning_details=entries))

    def _detail_index(self, opened: _OpenPart) -> int:
        if opened.index is None:
            opened.index = self._detail_count
            self._detail_count += 1
        return opened.index

    def _name(self, opened: _OpenPart, part: Reasoning, entry: ReasoningDetail) -> None:
        """Set the format in the first entry of a part, and the id in the first one for which it is known."""
        if not opened.has_named_id and part.item_id:
            entry.id, opened.has_named_id = part.item_id, True
        if not opened.has_named_format:
            entry.format, opened.has_named_format = part.format or answer_fields.UNKNOWN_FORMAT, True

    def _begin_call(self, opened: _OpenPart, call: ToolCall) -> None:
        opened.index = self.call_count
        self.call_count += 1
        call_id = answer_fields.call_id_of(call, self._generation_id, self.number, opened.index)
        self._say(Delta(tool_calls=[{"index": opened.index, **answer_fields.tool_call(call, call_id)}]))

    def _send_arguments(self, opened: _OpenPart, call: ToolCall, text: str, logprobs: Raw | None) -> None:
        said = {"custom": {"input": text}} if call.kind == "custom" else {"function": {"arguments": text}}
        self._say(Delta(tool_calls=[{"index": opened.index, **said}]), logprobs)
