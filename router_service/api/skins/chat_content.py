"""Translate the content of messages to parts."""

from __future__ import annotations

from typing import TypeVar

from router_service.api.skins.field_errors import bad_field
from router_service.api.skins.media_urls import file_of, medium_at, split_data_url
from router_service.core.parts import CacheMark, Media, Part, Reasoning, Refusal, Text
from router_service.core.wire.chat import (
    AnyContentPart,
    AudioPart,
    ChatCacheControl,
    Content,
    ContentPart,
    FilePart,
    ImagePart,
    ImageUrl,
    InputVideoPart,
    RefusalPart,
    TextPart,
    ThinkingPart,
    VideoPart,
    VideoUrl,
)

P = TypeVar("P", bound=Part)
ContentItem = Text | Media | Refusal | Reasoning


def cache_mark(control: ChatCacheControl | None) -> CacheMark | None:
    """Return the mark that ``control`` asks for."""
    return None if control is None else CacheMark(control.ttl)


def content_parts(content: Content, where: str) -> list[ContentItem]:
    """Return the parts of ``content``, which stands at ``where``. Raises ``ApiError`` 400 naming what is wrong."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    return [_marked(_part(part, f"{where}[{index}]"), part) for index, part in enumerate(content)]


def plain_parts(content: Content, where: str) -> list[Text | Media]:
    """Return the parts of content that holds text and media alone."""
    found: list[Text | Media] = []
    for index, part in enumerate(content_parts(content, where)):
        if not isinstance(part, Text | Media):
            kind = "refusal" if isinstance(part, Refusal) else "thinking"
            raise bad_field(f"{where}[{index}].type", f"{kind} belongs to assistant messages; send text or media")
        found.append(part)
    return found


def image_part(image: ImageUrl | str) -> Media:
    """Return an image, given by URL or by data URL."""
    found = ImageUrl(image) if isinstance(image, str) else image
    return medium_at("image", found.url, detail=found.detail)


def _marked(part: P, written: ContentPart) -> P:
    if written.cache_control is not None:
        part.cache = cache_mark(written.cache_control)
    elif written.prompt_cache_breakpoint is not None:
        part.cache = CacheMark()
    return part


def _part(part: AnyContentPart, where: str) -> ContentItem:
    match part:
        case TextPart():
            return Text(text=part.text)
        case ImagePart():
            return image_part(part.image_url)
        case RefusalPart():
            return Refusal(text=part.refusal)
        case ThinkingPart():
            return _thinking(part)
        case AudioPart():
            audio = part.input_audio
            _, data = split_data_url(audio.data)
            return Media(
                kind="audio", media_type=f"audio/{audio.format}", data=data if data is not None else audio.data
            )
        case FilePart():
            return file_of(part.file.file_data, part.file.file_id, part.file.filename, f"{where}.file")
        case VideoPart() | InputVideoPart():
            video = part.video_url
            return medium_at("video", video.url if isinstance(video, VideoUrl) else video)


def _thinking(part: ThinkingPart) -> Reasoning:
    if isinstance(part.thinking, str):
        return Reasoning(text=part.thinking, signature=part.signature)
    return Reasoning(text="".join(piece.text for piece in part.thinking), signature=part.signature)
