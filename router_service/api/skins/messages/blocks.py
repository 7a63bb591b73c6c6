"""Read the content blocks of requests as parts, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from router_service.api.skins.messages.checked_json import checked, decode_at, invalid
from router_service.api.skins.messages.media_text import read_media_text
from router_service.core.origin import PREFIX, read_token
from router_service.core.parts import (
    AnyPart,
    CacheMark,
    Citation,
    Media,
    MediaKind,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from router_service.core.readable_text import readable_text
from router_service.core.wire.anthropic import (
    DIALECT,
    INVALID_ARGUMENTS,
    REASONING_FORMAT,
    BlockHead,
    CacheControl,
    DocumentBlock,
    ImageBlock,
    RedactedThinkingBlock,
    Source,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)

_head = msgspec.json.Decoder(BlockHead)
_text = msgspec.json.Decoder(TextBlock)
_image = msgspec.json.Decoder(ImageBlock)
_document = msgspec.json.Decoder(DocumentBlock)
_thinking = msgspec.json.Decoder(ThinkingBlock)
_redacted = msgspec.json.Decoder(RedactedThinkingBlock)
_tool_use = msgspec.json.Decoder(ToolUseBlock)
_tool_result = msgspec.json.Decoder(ToolResultBlock)
_object = msgspec.json.Decoder(dict[str, Any])
# Which field a kind of source needs.
_SOURCE_FIELDS = {"base64": "data", "url": "url", "file": "file_id"}


def read_content(content: str | list[msgspec.Raw], path: str) -> list[AnyPart]:
    """Return the parts of a turn's ``content``. Raises ``ApiError`` 400 that names the field below ``path``."""
    if isinstance(content, str):
        return [Text(text=content)]
    return [read_block(raw, f"{path}.{index}") for index, raw in enumerate(content)]


def read_block(raw: msgspec.Raw, path: str) -> AnyPart:
    """Return the part for one block; a block of a kind that the middle does not know is ``Opaque``."""
    head = decode_at(raw, _head, path)
    return _READERS.get(head.type, _opaque)(raw, path)


def cache_mark(control: CacheControl | None) -> CacheMark | None:
    """Return the mark for ``cache_control``."""
    return None if control is None else CacheMark(control.ttl)


def _text_part(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _text, path)
    citations = [_citation(one, f"{path}.citations.{index}") for index, one in enumerate(block.citations or ())]
    found = Text(text=block.text, citations=citations, cache=cache_mark(block.cache_control))
    return read_media_text(found) or found


def _citation(raw: msgspec.Raw, path: str) -> Citation:
    found = decode_at(raw, _object, path)
    # The renderer writes an empty index for citations of other providers, which Anthropic would refuse.
    foreign = found.get("type") == "web_search_result_location" and found.get("encrypted_index") == ""
    return Citation(
        url=_string(found, "url") or None,
        title=_string(found, "title") or _string(found, "document_title"),
        cited_text=_string(found, "cited_text") or None,
        dialect=None if foreign else DIALECT,
        raw=None if foreign else raw,
    )


def _string(block: dict[str, Any], key: str) -> str | None:
    value = block.get(key)
    return value if isinstance(value, str) else None


def _image_part(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _image, path)
    media = _media("image", block.source, f"{path}.source", None)
    if media is None:
        raise invalid(f"{path}.source.type", "it must be 'base64', 'url' or 'file'")
    media.cache = cache_mark(block.cache_control)
    media.extras = _extras(transformations=_checked_field(block.transformations, f"{path}.transformations"))
    return media


def _document_part(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _document, path)
    media = _media("document", block.source, f"{path}.source", block.title)
    if media is None:
        if block.source.type not in ("text", "content"):
            raise invalid(f"{path}.source.type", "it must be 'base64', 'url', 'file', 'text' or 'content'")
        return _opaque(raw, path)
    media.cache = cache_mark(block.cache_control)
    media.extras = _extras(context=block.context, citations=_checked_field(block.citations, f"{path}.citations"))
    return media


def _media(kind: MediaKind, source: Source, path: str, name: str | None) -> Media | None:
    """Return the medium of ``source``, or ``None`` for a source that is text."""
    field = _SOURCE_FIELDS.get(source.type)
    if field is None:
        return None
    if not getattr(source, field):
        raise invalid(f"{path}.{field}", f"the field is required for a source of type '{source.type}'")
    if field == "data" and not source.media_type:
        raise invalid(f"{path}.media_type", "the field is required for a source of type 'base64'")
    media_type = source.media_type or ("application/pdf" if kind == "document" and field == "url" else None)
    media = Media(kind=kind, media_type=media_type, name=name)
    setattr(media, field, getattr(source, field))
    return media


def _extras(**fields: Any) -> dict[str, dict[str, Any]] | None:
    present = {name: value for name, value in fields.items() if value is not None}
    return {DIALECT: present} if present else None


def _checked_field(raw: msgspec.Raw, path: str) -> Any:
    return checked(raw, path) if bytes(raw) else None


def _thinking_part(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _thinking, path)
    token = read_token(block.signature)
    if token is not None:
        return token.reasoning(block.thinking)
    if not block.signature or block.signature.startswith(PREFIX):
        # There is no proof, or it was damaged on the way: only the text is left.
        return Reasoning(text=block.thinking)
    return Reasoning(text=block.thinking, signature=block.signature, format=REASONING_FORMAT)


def _redacted_part(raw: msgspec.Raw, path: str) -> AnyPart:
    data = decode_at(raw, _redacted, path).data
    token = read_token(data)
    return Reasoning(encrypted=data, format=REASONING_FORMAT) if token is None else token.reasoning()


def _tool_use_part(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _tool_use, path)
    given = decode_at(block.input, _object, f"{path}.input")
    invalid_text = given.get(INVALID_ARGUMENTS)
    token = read_token(block.id)
    call = ToolCall(
        call_id=call_id_of(block.id),
        name=block.name,
        arguments=invalid_text if isinstance(invalid_text, str) else bytes(block.input).decode(),
        cache=cache_mark(block.cache_control),
        extras=_extras(caller=_checked_field(block.caller, f"{path}.caller"), toolset_name=block.toolset_name),
    )
    if token is not None:
        call.signature, call.item_id, call.origin, call.kind = token.raw, token.item_id, token.origin, token.kind
    return call


def call_id_of(tool_id: str) -> str:
    """Return the id that the provider gave to the call ``tool_id``."""
    token = read_token(tool_id)
    return tool_id if token is None or token.call_id is None else token.call_id


def _tool_result_part(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _tool_result, path)
    content: list[Text | Media | Opaque] = []
    for part in read_content(block.content if block.content is not None else [], f"{path}.content"):
        if not isinstance(part, Text | Media | Opaque):
            allowed = "text, image, document, search_result and tool_reference"
            raise invalid(f"{path}.content.{len(content)}.type", f"a tool result may contain {allowed} blocks")
        content.append(part)
    return ToolResult(
        call_id=call_id_of(block.tool_use_id),
        content=content,
        is_error=bool(block.is_error),
        cache=cache_mark(block.cache_control),
        extras=_extras(toolset_name=block.toolset_name),
    )


def _opaque(raw: msgspec.Raw, path: str) -> AnyPart:
    block = decode_at(raw, _object, path)
    mark = cache_mark(decode_at(raw, _head, path).cache_control)
    return Opaque(dialect=DIALECT, raw=raw, text=readable_text(block), cache=mark)


_READERS: dict[str, Callable[[msgspec.Raw, str], AnyPart]] = {
    "text": _text_part,
    "image": _image_part,
    "document": _document_part,
    "thinking": _thinking_part,
    "redacted_thinking": _redacted_part,
    "tool_use": _tool_use_part,
    "tool_result": _tool_result_part,
}
