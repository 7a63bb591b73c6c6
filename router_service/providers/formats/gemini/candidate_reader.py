"""Turn the parts of one candidate into events, the same way for a stream and for a non-streaming response.

Pieces of a text follow each other as parts without a signature; one with a signature ends the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from router_service.core.events import Event, Finished, FinishReason, PartBegan, PartDelta, PartEnded
from router_service.core.parts import Media, Opaque, Reasoning, Text, ToolCall
from router_service.core.readable_text import readable_text
from router_service.providers.custom_tools import custom_text
from router_service.providers.formats.gemini.citations import CitedText, grounded, recited
from router_service.providers.formats.gemini.dialect import gemini_token_format
from router_service.providers.formats.gemini.logprobs import chat_logprobs
from router_service.providers.formats.gemini.media import kind_of
from router_service.providers.formats.gemini.names import DIALECT, made_call_id, medium_id
from router_service.providers.wire_format import DecodeContext

Part = dict[str, Any]
# Source: Gemini API reference: FinishReason; the enumeration of the ``google-genai`` package 3.6.1. Any other is an
# error, as are MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, TOO_MANY_TOOL_CALLS, MISSING_THOUGHT_SIGNATURE,
# MALFORMED_RESPONSE, NO_IMAGE, IMAGE_OTHER and OTHER.
FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION"),
        "content_filter",
    ),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}
_DETAILS = ("finishMessage", "safetyRatings", "citationMetadata")
_HOSTED = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")


class CandidateReader:
    """Read one candidate, which is choice ``number`` of the answer."""

    __slots__ = (
        "_calls", "_context", "_details", "_grounding", "_keeps_open", "_media", "_native", "_number", "_open",
        "_parts", "_said", "_token_format", "_waiting_logprobs", "next_call",
    )  # fmt: skip

    def __init__(self, number: int, context: DecodeContext, next_call: Callable[[], int]) -> None:
        self._number, self._context, self.next_call = number, context, next_call
        self._token_format = gemini_token_format(context.origin)
        # Sources come after the texts that they belong to, which stay open for them.
        self._keeps_open = context.lists_sources
        self._open: tuple[str, int] | None = None
        self._said: list[tuple[int, list[str]]] = []
        self._grounding: dict[str, Any] = {}
        self._details: dict[str, Any] = {}
        self._waiting_logprobs: Raw | None = None
        self._native: str | None = None
        self._parts = self._calls = self._media = 0

    @property
    def is_finished(self) -> bool:
        """Return whether the vendor has given a reason of the end."""
        return self._native is not None

    def read(self, candidate: dict[str, Any]) -> list[Event]:
        """Read a chunk of the candidate."""
        found: list[Event] = []
        if candidate.get("logprobsResult") is not None:
            self._waiting_logprobs = chat_logprobs(candidate["logprobsResult"])
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                found += self._part(part)
        grounding = candidate.get("groundingMetadata")
        if isinstance(grounding, dict):
            self._grounding.update(grounding)
        for name in _DETAILS:
            if candidate.get(name):
                self._details[name] = candidate[name]
        native = candidate.get("finishReason")
        if isinstance(native, str) and native:
            # Some servers repeat a reason in every chunk: the last one counts, when the stream has ended.
            self._native = native
        return found

    def finish(self) -> list[Event]:
        """Return the events that end the candidate, whose reason is known."""
        found = self._cite() + self.close()
        native = self._native or ""
        reason = FINISH_REASONS.get(native, "error")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        details = {name: self._details[name] for name in _DETAILS[:2] if name in self._details}
        return [*found, Finished(choice=self._number, reason=reason, native=native, details=details or None)]

    def close(self) -> list[Event]:
        """Return the events that end the open parts."""
        found: list[Event] = self._end_open()
        if self._keeps_open:
            found += [PartEnded(choice=self._number, index=index) for index, _ in self._said]
            self._said = []
        return found

    def _part(self, part: Part) -> list[Event]:
        text, signature = part.get("text"), part.get("thoughtSignature")
        signature = signature if isinstance(signature, str) and signature else None
        if isinstance(text, str):
            return self._text(text, signature, thought=part.get("thought") is True)
        call = part.get("functionCall")
        if isinstance(call, dict):
            return self._call(call, signature)
        for name in ("inlineData", "fileData"):
            if isinstance(part.get(name), dict):
                # Drafts of an image that the model thinks of are none of the answer.
                return [] if part.get("thought") is True else self._signed_medium(part[name], signature)
        if any(name in part for name in _HOSTED):
            return self._hosted(part)
        return self._seal(signature)

    def _text(self, text: str, signature: str | None, *, thought: bool) -> list[Event]:
        kind = "thought" if thought else "text"
        found: list[Event] = []
        if text:
            if self._open is None or self._open[0] != kind:
                found = self._end_open()
                part = self._reasoning() if thought else Text(origin=self._context.origin)
                found.append(self._begin(kind, part))
            found.append(self._delta(text, thought))
        if signature is None:
            return found
        if thought and self._open is not None and self._open[0] == "thought":
            return found + self._end_open(signature)
        return found + self._seal(signature)

    def _delta(self, text: str, thought: bool) -> PartDelta:
        assert self._open is not None
        index = self._open[1]
        logprobs, self._waiting_logprobs = (None, self._waiting_logprobs) if thought else (self._waiting_logprobs, None)
        if self._keeps_open and not thought:
            self._said[-1][1].append(text)
        return PartDelta(choice=self._number, index=index, text=text, logprobs=logprobs)

    def _begin(self, kind: str, part: Text | Reasoning) -> PartBegan:
        index = self._next_index()
        self._open = (kind, index)
        if self._keeps_open and kind == "text":
            self._said.append((index, []))
        return PartBegan(self._number, index, part)

    def _end_open(self, signature: str | None = None) -> list[Event]:
        if self._open is None:
            return []
        kind, index = self._open
        self._open = None
        if kind == "text" and self._keeps_open:
            return []
        return [PartEnded(choice=self._number, index=index, signature=signature)]

    def _seal(self, signature: str | None, item_id: str | None = None) -> list[Event]:
        """Return the signature of what came before as a part, for want of a field that every client API has."""
        if signature is None:
            return []
        part = self._reasoning(encrypted=signature)
        part.item_id = item_id
        return [*self._end_open(), *self._whole(part)]

    def _reasoning(self, encrypted: str | None = None) -> Reasoning:
        return Reasoning(encrypted=encrypted, origin=self._context.origin, format=self._token_format)

    def _call(self, call: Part, signature: str | None) -> list[Event]:
        name, own = call.get("name"), call.get("id")
        if not isinstance(name, str) or not name:
            # Nobody can make a call without a name, and no provider takes one back.
            return self._seal(signature)
        context = self._context
        custom = name in context.custom_tools
        self._calls += 1
        number = self.next_call()
        part = ToolCall(
            call_id=own if isinstance(own, str) and own else made_call_id(context.generation_id, number),
            name=context.tool_names.get(name, name),
            kind="custom" if custom else "function",
            origin=context.origin,
            signature=signature,
        )
        args = call.get("args")
        text = msgspec.json.encode(args).decode() if isinstance(args, dict) else args if isinstance(args, str) else "{}"
        index = self._next_index()
        delta = PartDelta(choice=self._number, index=index, text=custom_text(text) if custom else text)
        began = PartBegan(self._number, index, part)
        return [*self._end_open(), began, delta, PartEnded(choice=self._number, index=index, signature=signature)]

    def _signed_medium(self, medium: Part, signature: str | None) -> list[Event]:
        """Return a medium, and its signature with the number of the medium, which other parts may separate."""
        found = self._medium(medium)
        if not found:
            return self._seal(signature)
        self._media += 1
        return found + self._seal(signature, medium_id(self._media - 1))

    def _medium(self, medium: Part) -> list[Event]:
        media_type = medium.get("mimeType")
        media_type = media_type if isinstance(media_type, str) else ""
        data, url = medium.get("data"), medium.get("fileUri")
        part = Media(kind=kind_of(media_type), media_type=media_type or None, origin=self._context.origin)
        if isinstance(data, str) and data:
            index = self._next_index()
            delta = PartDelta(choice=self._number, index=index, data=data)
            began = PartBegan(self._number, index, part)
            return [*self._end_open(), began, delta, PartEnded(choice=self._number, index=index)]
        if isinstance(url, str) and url:
            part.url = url
            return [*self._end_open(), *self._whole(part)]
        return []

    def _hosted(self, part: Part) -> list[Event]:
        raw = Raw(msgspec.json.encode(part))
        opaque = Opaque(dialect=DIALECT, raw=raw, text=_hosted_text(part), origin=self._context.origin)
        return [*self._end_open(), *self._whole(opaque)]

    def _whole(self, part: Reasoning | Media | Opaque) -> list[Event]:
        index = self._next_index()
        return [PartBegan(self._number, index, part), PartEnded(choice=self._number, index=index)]

    def _cite(self) -> list[Event]:
        texts = [CitedText(index, "".join(pieces)) for index, pieces in self._said]
        found: list[Event] = []
        sources = list(grounded(self._grounding, texts))
        recitation = self._details.get("citationMetadata")
        if isinstance(recitation, dict):
            sources += recited(recitation, texts)
        for index, citation in sources:
            found.append(PartDelta(choice=self._number, index=index, citation=citation))
        return found

    def _next_index(self) -> int:
        self._parts += 1
        return self._parts - 1


def _hosted_text(part: Part) -> str | None:
    """Return the text that stands for a call that the vendor ran itself, or for its result."""
    code, result = part.get("executableCode"), part.get("codeExecutionResult")
    if isinstance(code, dict) and isinstance(code.get("code"), str):
        return readable_text({"name": "code_execution", "input": {"code": code["code"]}})
    if isinstance(result, dict):
        output = result.get("output")
        return output if isinstance(output, str) and output else None
    called = part.get("toolCall")
    if isinstance(called, dict) and isinstance(called.get("args"), dict):
        return readable_text({"name": str(called.get("toolType") or "tool").lower(), "input": called["args"]})
    return None
