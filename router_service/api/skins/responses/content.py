"""Read the content of messages and of tool results as parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import bad_field, decode_field
from router_service.api.skins.media_urls import file_of, medium_at, split_data_url
from router_service.core.parts import CacheMark, Citation, Media, Refusal, Text
from router_service.core.wire.responses import (
    DIALECT,
    InputAudioPart,
    InputFile,
    InputImage,
    InputPart,
    InputText,
    InputVideo,
    OutputText,
    RefusalContent,
    UrlAnnotation,
)

ContentItem = Text | Media | Refusal

_head = msgspec.json.Decoder(InputPart)
_text = msgspec.json.Decoder(InputText)
_output_text = msgspec.json.Decoder(OutputText)
_annotation = msgspec.json.Decoder(UrlAnnotation)
_refusal = msgspec.json.Decoder(RefusalContent)
_image = msgspec.json.Decoder(InputImage)
_file = msgspec.json.Decoder(InputFile)
_audio = msgspec.json.Decoder(InputAudioPart)
_video = msgspec.json.Decoder(InputVideo)


def read_contents(content: str | Sequence[Raw] | None, where: str) -> list[ContentItem]:
    """Return the parts of ``content``, which stands at ``where``. Raises ``ApiError`` 400 naming what is wrong."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    return [_part(raw, f"{where}[{index}]") for index, raw in enumerate(content)]


def result_parts(content: str | Sequence[Raw] | None, where: str) -> list[Any]:
    """Return the parts of a tool's result, which are text and media."""
    found: list[Any] = []
    for index, part in enumerate(read_contents(content, where)):
        if isinstance(part, Refusal):
            raise bad_field(f"{where}[{index}].type", "is refusal, which is of assistant messages; send input_text")
        found.append(part)
    return found


def _part(raw: Raw, where: str) -> ContentItem:
    head = decode_field(raw, _head, where, "an object such as {'type': 'input_text', 'text': 'Hello'}")
    reader = _READERS.get(head.type)
    if reader is None:
        raise bad_field(
            f"{where}.type", f"is wrong: invalid value {head.type[:40]!r}; send one of {', '.join(_READERS)}"
        )
    part = reader(raw, where)
    if head.cache_control is not None:
        part.cache = CacheMark(head.cache_control.ttl)
    elif head.prompt_cache_breakpoint is not None:
        part.cache = CacheMark()
    return part


def _text_part(raw: Raw, where: str) -> ContentItem:
    return Text(text=decode_field(raw, _text, where).text)


def _answered_text(raw: Raw, where: str) -> ContentItem:
    found = decode_field(raw, _output_text, where)
    citations = [_citation(one, f"{where}.annotations[{i}]") for i, one in enumerate(found.annotations or ())]
    return Text(text=found.text, citations=citations)


def _citation(raw: Raw, where: str) -> Citation:
    found = decode_field(bytes(raw), _annotation, where, "the annotation as the answer contained it")
    return Citation(
        url=found.url,
        title=found.title,
        cited_text=found.content,
        start=found.start_index,
        end=found.end_index,
        dialect=DIALECT,
        raw=raw,
    )


def _refusal_part(raw: Raw, where: str) -> ContentItem:
    return Refusal(text=decode_field(raw, _refusal, where).refusal)


def _image_part(raw: Raw, where: str) -> ContentItem:
    found = decode_field(raw, _image, where)
    if found.image_url is not None:
        return medium_at("image", found.image_url, detail=found.detail)
    if found.file_id is None:
        raise bad_field(where, "has no image_url; send a URL or a data URL")
    return Media(kind="image", file_id=found.file_id, detail=found.detail)


def _file_part(raw: Raw, where: str) -> ContentItem:
    found = decode_field(raw, _file, where)
    if found.file_url is not None:
        return Media(kind="file", url=found.file_url, name=found.filename)
    return file_of(found.file_data, found.file_id, found.filename, where)


def _audio_part(raw: Raw, where: str) -> ContentItem:
    audio = decode_field(raw, _audio, where).input_audio
    _, data = split_data_url(audio.data)
    return Media(kind="audio", media_type=f"audio/{audio.format}", data=audio.data if data is None else data)


def _video_part(raw: Raw, where: str) -> ContentItem:
    return medium_at("video", decode_field(raw, _video, where).video_url)


_READERS: dict[str, Callable[[Raw, str], ContentItem]] = {
    "input_text": _text_part,
    "output_text": _answered_text,
    "text": _text_part,
    "refusal": _refusal_part,
    "input_image": _image_part,
    "input_file": _file_part,
    "input_audio": _audio_part,
    "input_video": _video_part,
}
