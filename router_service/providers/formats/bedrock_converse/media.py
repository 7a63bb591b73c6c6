"""Translate media to image, document, video and audio blocks.

Sources: Amazon Bedrock API reference: ImageBlock, DocumentBlock (the characters of its name), VideoBlock, AudioBlock.
"""

from __future__ import annotations

import mimetypes
import re
from typing import Any
from urllib.parse import urlsplit

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.parts import Media, MediaKind

Block = dict[str, Any]
S3 = "s3://"
_MAX_NAME = 200
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9()\[\] -]+")
_SPACES = re.compile(r"\s+")
# First characters of the base64 text of each kind of file.
_MAGIC = {"iVBORw": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp", "JVBERi": "pdf"}
_OPEN_XML = "application/vnd.openxmlformats-officedocument"
_FORMATS: dict[str, dict[str, str]] = {
    "image": {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"},
    "document": {
        "application/pdf": "pdf",
        "application/x-pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        f"{_OPEN_XML}.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        f"{_OPEN_XML}.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/markdown": "md",
        "application/json": "txt",
        "application/xml": "txt",
        "application/yaml": "txt",
        "application/x-yaml": "txt",
        "application/toml": "txt",
    },
    "video": {
        "video/x-matroska": "mkv",
        "video/quicktime": "mov",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/x-ms-wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    "audio": {
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/opus": "opus",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/wave": "wav",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/ogg": "ogg",
        "audio/mp4": "m4a",
        "audio/webm": "webm",
    },
}
_USUAL = {"image": "png", "document": "pdf", "video": "mp4", "audio": "wav"}


def takes_data_alone(part: Media, _endpoint: Endpoint) -> bool:
    """Return whether a medium has to be sent by its data: the vendor reads no address but those of S3."""
    return part.url is not None and not part.url.startswith(S3)


def block_kind(part: Media) -> str:
    """Return the kind of block of a medium."""
    media_type = (part.media_type or "").lower()
    if part.kind in ("image", "audio", "video"):
        return part.kind
    group = media_type.partition("/")[0]
    return group if group in ("image", "audio", "video") else "document"


class MediaEncoder:
    """Translate the media of one request. The vendor refuses two documents of one name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def block(self, part: Media) -> Block:
        """Return the block of a medium. Raises ``ApiError`` 400 for one that the vendor does not read."""
        if part.file_id is not None:
            raise ApiError(
                "invalid_request", "Amazon Bedrock reads no files by their id; send the file's data, or its s3:// URL"
            )
        kind = block_kind(part)
        body: Block = {"format": _format_of(part, kind), "source": _source(part)}
        if kind == "document":
            body["name"] = self._unused_name(part.name or "document")
        return {kind: body}

    def _unused_name(self, written: str) -> str:
        stem = _SPACES.sub(" ", _UNNAMEABLE.sub(" ", written)).strip()[: _MAX_NAME - 10].strip() or "document"
        found, number = stem, 1
        while found in self._names:
            number += 1
            found = f"{stem} {number}"
        self._names.add(found)
        return found


def media_type_of(kind: str, form: str) -> str | None:
    """Return the media type of a block that a model has made."""
    return next((name for name, known in _FORMATS.get(kind, {}).items() if known == form), None)


def kind_of_block(name: str) -> MediaKind | None:
    """Return the kind of medium of a block, ``None`` where it is none."""
    kinds: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video", "document": "document"}
    return kinds.get(name)


def _format_of(part: Media, kind: str) -> str:
    known = _FORMATS[kind]
    data = part.data or ""
    found = next((form for magic, form in _MAGIC.items() if data.startswith(magic)), None)
    if found is not None and found in known.values():
        return found
    declared = (part.media_type or "").partition(";")[0].strip().lower()
    if not declared and part.url:
        declared = mimetypes.guess_type(urlsplit(part.url).path)[0] or ""
    if not declared and part.name:
        declared = mimetypes.guess_type(part.name)[0] or ""
    if not declared:
        return _USUAL[kind]
    if declared in known:
        return known[declared]
    if kind == "document" and declared.startswith("text/"):
        return "txt"
    raise ApiError(
        "invalid_request",
        f"Amazon Bedrock takes no {kind} of type {declared}; send one of {', '.join(dict.fromkeys(known.values()))}",
    )


def _source(part: Media) -> Block:
    if part.data is not None:
        return {"bytes": part.data}
    url = part.url or ""
    if url.startswith(S3):
        return {"s3Location": {"uri": url}}
    raise ApiError("invalid_request", "Amazon Bedrock reads media by their data or from S3; send data or an s3:// URL")
