"""Translate the content of messages to parts."""

from __future__ import annotations

import base64
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from router_service.api.skins.chat.field_errors import bad_field
from router_service.core.parts import CacheMark, Media, MediaKind, Part, Reasoning, Refusal, Text
from router_service.core.wire.chat import (
    AnyContentPart,
    AudioPart,
    ChatCacheControl,
    Content,
    ContentPart,
    FileData,
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
    return _by_url("image", found.url, detail=found.detail)


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
            _, data = _split_data_url(audio.data)
            return Media(
                kind="audio", media_type=f"audio/{audio.format}", data=data if data is not None else audio.data
            )
        case FilePart():
            return _file(part.file, where)
        case VideoPart() | InputVideoPart():
            video = part.video_url
            return _by_url("video", video.url if isinstance(video, VideoUrl) else video)


def _thinking(part: ThinkingPart) -> Reasoning:
    if isinstance(part.thinking, str):
        return Reasoning(text=part.thinking, signature=part.signature)
    return Reasoning(text="".join(piece.text for piece in part.thinking), signature=part.signature)


def _file(file: FileData, where: str) -> Media:
    if file.file_data is None:
        if file.file_id is None:
            raise bad_field(f"{where}.file", "is empty; send file_data (a data URL or a URL) or file_id")
        return Media(kind="file", file_id=file.file_id, name=file.filename)
    if file.file_data.startswith(("http://", "https://")):
        return Media(kind="file", url=file.file_data, name=file.filename)
    media_type, data = _split_data_url(file.file_data)
    is_document = media_type is not None and (media_type == "application/pdf" or media_type.startswith("text/"))
    kind: MediaKind = "document" if is_document else "file"
    return Media(
        kind=kind, media_type=media_type, data=data if data is not None else file.file_data, name=file.filename
    )


def _by_url(kind: MediaKind, url: str, *, detail: str | None = None) -> Media:
    media_type, data = _split_data_url(url)
    if data is None:
        return Media(kind=kind, url=url, detail=detail)
    return Media(kind=kind, media_type=media_type, data=data, detail=detail)


def _split_data_url(url: str) -> tuple[str | None, str | None]:
    """Return the media type and the base64 data of a data URL, ``None`` for both of any other text."""
    if url[:5].lower() != "data:" or "," not in url:
        return None, None
    head, _, data = url[5:].partition(",")
    names = head.split(";")
    if names[-1].strip().lower() != "base64":
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return names[0].strip().lower() or None, data
