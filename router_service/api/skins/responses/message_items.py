"""Write messages: texts and refusals that follow each other are the content of one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from router_service.api.skins.responses.answer_text import citation_annotation, logprobs_of
from router_service.api.skins.responses.event_log import EventLog, members
from router_service.api.skins.responses.open_items import OpenItem, PartWriter, Status, TextPieces
from router_service.core.events import PartDelta, PartEnded
from router_service.core.outgoing_json import json_text, outgoing_json
from router_service.core.parts import Citation, Refusal, Text
from router_service.core.wire.responses import DIALECT


class OpenMessage(OpenItem):
    """Write one message; ``part_id`` is the provider's own id, ``phase`` what OpenAI says of its place there."""

    __slots__ = ("contents", "open_count", "part_id", "phase", "was_left")

    def __init__(self, log: EventLog, index: int, item_id: str, part_id: str | None, phase: Any) -> None:
        super().__init__(log, index, item_id)
        self.contents: list[ContentWriter] = []
        self.open_count = 0
        self.part_id = part_id
        self.phase = phase
        self.was_left = False

    def shown(self, status: Status) -> dict[str, Any]:
        found = {
            "type": "message",
            "id": self.item_id,
            "status": status,
            "role": "assistant",
            "content": [one.shown() for one in self.contents],
        }
        return found if self.phase is None else found | {"phase": self.phase}

    def take(self, content: ContentWriter) -> int:
        """Return the place of ``content``, which is open now."""
        self.contents.append(content)
        self.open_count += 1
        return len(self.contents) - 1

    def let_go(self) -> None:
        """Note that a content has ended; the last one of a message that another item has followed ends that too."""
        self.open_count -= 1
        if self.was_left and not self.open_count:
            self.close("completed")


MessageOpener = Callable[[Text | Refusal], OpenMessage]


class ContentWriter(PartWriter):
    """Write one text or refusal. Its message begins with its first content, since a part may turn out to have none."""

    __slots__ = ("_open_message", "_part", "_place", "_text", "item")

    def __init__(self, part: Text | Refusal, open_message: MessageOpener) -> None:
        self._part = part
        self._open_message = open_message
        self._text = TextPieces()
        self._place = ""
        self.item: OpenMessage | None = None

    @abstractmethod
    def shown(self) -> dict[str, Any]:
        """Return the content as the response shows it now."""

    def end(self, ended: PartEnded) -> None:  # noqa: ARG002 - texts are not signed
        if self.item is not None:
            self._finish(self.item.log)
            self._write(self.item.log, "response.content_part.done")
            self.item.let_go()

    def _opened(self) -> EventLog:
        if self.item is None:
            self.item = self._open_message(self._part)
            index = self.item.take(self)
            self._place = f'{self.item.place},"content_index":{index}'
            self._write(self.item.log, "response.content_part.added")
        return self.item.log

    def _write(self, log: EventLog, name: str) -> None:
        log.write(name, f"{self._place},{members(part=self.shown())}")

    @abstractmethod
    def _finish(self, log: EventLog) -> None:
        """Write the whole content."""


class RefusalContentWriter(ContentWriter):
    """Write a refusal."""

    __slots__ = ()

    def shown(self) -> dict[str, Any]:
        return {"type": "refusal", "refusal": self._text.text}

    def begin(self) -> None:
        self._say(self._part.text)

    def add(self, delta: PartDelta) -> None:
        self._say(delta.text)

    def _say(self, text: str) -> None:
        if text:
            log = self._opened()
            self._text.add(text)
            log.write("response.refusal.delta", f'{self._place},"delta":{json_text(text)}')

    def _finish(self, log: EventLog) -> None:
        log.write("response.refusal.done", f'{self._place},"refusal":{json_text(self._text.text)}')


class TextContentWriter(ContentWriter):
    """Write a text with its citations and log probabilities."""

    __slots__ = ("_annotations", "_length", "_logprobs")
    _part: Text

    def __init__(self, part: Text, open_message: MessageOpener) -> None:
        super().__init__(part, open_message)
        self._annotations: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] = []
        self._length = 0

    def shown(self) -> dict[str, Any]:
        return {
            "type": "output_text",
            "text": self._text.text,
            "annotations": self._annotations,
            "logprobs": self._logprobs,
        }

    def begin(self) -> None:
        self._say(self._part.text, [])
        for citation in self._part.citations:
            self._cite(citation)

    def add(self, delta: PartDelta) -> None:
        if delta.text or delta.logprobs is not None:
            self._say(delta.text, [] if delta.logprobs is None else logprobs_of(delta.logprobs))
        if delta.citation is not None:
            self._cite(delta.citation)

    def _say(self, text: str, logprobs: list[dict[str, Any]]) -> None:
        if not text and not logprobs:
            return
        log = self._opened()
        self._text.add(text)
        self._length += len(text)
        self._logprobs += logprobs
        found = outgoing_json(logprobs).decode() if logprobs else "[]"
        log.write("response.output_text.delta", f'{self._place},"delta":{json_text(text)},"logprobs":{found}')

    def _cite(self, citation: Citation) -> None:
        log = self._opened()
        index, found = len(self._annotations), citation_annotation(citation, self._length)
        self._annotations.append(found)
        log.write(
            "response.output_text.annotation.added",
            f'{self._place},"annotation_index":{index},{members(annotation=found)}',
        )

    def _finish(self, log: EventLog) -> None:
        logprobs = outgoing_json(self._logprobs).decode()
        log.write(
            "response.output_text.done", f'{self._place},"text":{json_text(self._text.text)},"logprobs":{logprobs}'
        )


def phase_of(part: Text | Refusal) -> Any:
    """Return the phase that OpenAI gave to the message of ``part``."""
    return ((part.extras or {}).get(DIALECT) or {}).get("phase")
