"""Write parts of an answer as fields of a chat message; the whole message and the chunks of a stream share them."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.origin import wrap_token
from router_service.core.parts import Citation, Media, Opaque, Reasoning, ToolCall
from router_service.core.wire.chat import DIALECT, ReasoningDetail

UNKNOWN_FORMAT = "unknown"
_SERVER_TOOL = "reasoning.server_tool_call"
_object = msgspec.json.Decoder(dict[str, Any])


class _ServerToolDetail(msgspec.Struct, tag_field="type", tag=_SERVER_TOOL):
    arguments: str
    result: str
    tool_name: str


class _CitedSource(msgspec.Struct):
    url: str
    title: str
    start_index: int
    end_index: int


class _UrlAnnotation(msgspec.Struct, tag_field="type", tag="url_citation"):
    url_citation: _CitedSource


class _FileAnnotation(msgspec.Struct, tag_field="type", tag="file"):
    file: dict[str, Any]


server_tool_decoder = msgspec.json.Decoder(_ServerToolDetail)
_annotation = msgspec.json.Decoder(_UrlAnnotation | _FileAnnotation)


def reasoning_token(part: Reasoning, token: str) -> str:
    """Return a signature or encrypted text, with its origin where ``format`` does not name the kind of token."""
    if part.format and part.format != UNKNOWN_FORMAT:
        return wrap_token(None, token)
    return wrap_token(part.origin, token)


def piece_of(part: Reasoning, text: str, index: int) -> ReasoningDetail:
    """Return an entry with ``text`` of a part of readable reasoning; ``index`` names the part."""
    if part.summary:
        return ReasoningDetail("reasoning.summary", summary=text, index=index)
    return ReasoningDetail("reasoning.text", text=text, index=index)


def reasoning_details(part: Reasoning, index: int) -> list[ReasoningDetail]:
    """Return the entries of a complete part: its text, its encrypted text, or both under one ``index``."""
    found: list[ReasoningDetail] = []
    if part.text or (part.signature and not part.encrypted):
        found.append(piece_of(part, part.text, index))
    if part.encrypted:
        found.append(ReasoningDetail("reasoning.encrypted", data=reasoning_token(part, part.encrypted), index=index))
    for entry in found:
        entry.format, entry.id = part.format or UNKNOWN_FORMAT, part.item_id
    if found and part.signature:
        found[0].signature = reasoning_token(part, part.signature)
    return found


def call_signature(call: ToolCall, call_id: str, index: int) -> ReasoningDetail | None:
    """Return the entry that carries the signature of a call, found again by the id of the call."""
    if not call.signature:
        return None
    data = wrap_token(call.origin, call.signature)
    return ReasoningDetail("reasoning.encrypted", data=data, id=call_id, format=UNKNOWN_FORMAT, index=index)


def server_tool_detail(part: Opaque, index: int) -> dict[str, Any] | None:
    """Return the entry for a call that the provider ran, or for its result, if ``part`` is one.

    The reference has one entry for both; here each has its own, joined by ``tool_call_id``.
    """
    if (use := part.hosted) is not None:
        fields = {"type": _SERVER_TOOL, "tool_name": use.tool, "arguments": use.arguments, "result": use.result}
        return fields | {"tool_call_id": use.call_id, "format": UNKNOWN_FORMAT, "index": index}
    if part.dialect != DIALECT:
        return None
    try:
        server_tool_decoder.decode(part.raw)
    except msgspec.DecodeError:
        return None
    return _object.decode(part.raw) | {"index": index}


def call_id_of(call: ToolCall, generation_id: str, choice: int, index: int) -> str:
    """Return the id of a call; one without an id gets one that is unique within the answer."""
    return call.call_id or f"call_{generation_id}_{choice}_{index}"


def tool_call(call: ToolCall, call_id: str) -> dict[str, Any]:
    """Return a call with what it says so far."""
    if call.kind == "custom":
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def annotation(citation: Citation, offset: int, length: int) -> dict[str, Any]:
    """Return an annotation of a text that begins at character ``offset`` of the content and has ``length`` characters.

    SDKs require both positions: a citation without them cites all of its text. An annotation that came in this
    dialect is returned unchanged where it has the documented shape.
    """
    if citation.raw is not None and citation.dialect == DIALECT:
        try:
            _annotation.decode(citation.raw)
            return _object.decode(citation.raw)
        except msgspec.DecodeError:
            pass
    source: dict[str, Any] = {
        "url": citation.url or "",
        "title": citation.title or citation.url or "",
        "start_index": offset + (citation.start or 0),
        "end_index": offset + (length if citation.end is None else citation.end),
    }
    if citation.cited_text is not None:
        source["content"] = citation.cited_text
    return {"type": "url_citation", "url_citation": source}


def image(media: Media) -> dict[str, Any] | None:
    """Return an image by its URL or as a data URL, or ``None`` if it has neither."""
    url = media.url
    if media.data:
        url = f"data:{media.media_type or 'image/png'};base64,{media.data}"
    return {"type": "image_url", "image_url": {"url": url}} if url else None


def audio_id_of(media: Media, generation_id: str, choice: int) -> str:
    """Return the id of an audio answer, of which a choice has one."""
    return media.item_id or f"audio_{generation_id}_{choice}"


def audio(media: Media, audio_id: str, created: int) -> dict[str, Any]:
    """Return an audio answer. SDKs require an expiry time; one that nobody promised is the time of the answer."""
    return {
        "id": audio_id,
        "data": media.data or "",
        "expires_at": created,
        "transcript": media.transcript or "",
    }


def finish_reason(reason: str) -> str:
    """Return the reference's finish reason: a turn that the provider paused has ended for the client."""
    return "stop" if reason == "pause_turn" else reason
