"""Translate media to and from parts.

Sources: Gemini API docs: Image, audio, video and document understanding, "Supported formats"; File input methods.
"""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import urlsplit

from router_service.core.errors import ApiError
from router_service.core.parts import Media, MediaKind

Part = dict[str, Any]
PDF = "application/pdf"
_IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mpeg": "audio/mp3",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "application/x-pdf": PDF,
}
# First characters of the base64 text of each kind of file.
_MAGIC = {"iVBORw": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "JVBERi": PDF}
_USUAL = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": PDF, "file": PDF}
_TEXTUAL = ("application/json", "application/xml", "application/x-yaml", "application/yaml", "application/toml")


def media_part(part: Media) -> Part:
    """Return the part for a medium. Raises ``ApiError`` 400 for a type that the vendor does not read."""
    media_type = _media_type(part)
    if part.data is not None:
        return {"inlineData": {"mimeType": _accepted(media_type), "data": part.data}}
    address = part.file_id or part.url or ""
    # Some servers refuse a file without its type, which a type that is wrong by a little does not hinder.
    return {"fileData": {"mimeType": media_type, "fileUri": address}}


def _media_type(part: Media) -> str:
    declared = (part.media_type or "").partition(";")[0].strip().lower()
    data = part.data or ""
    found = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    if found is None and not declared and part.url:
        found = mimetypes.guess_type(urlsplit(part.url).path)[0]
    if found is None and not declared and part.name:
        found = mimetypes.guess_type(part.name)[0]
    media_type = found or declared or _USUAL[part.kind]
    return _ALIASES.get(media_type, media_type)


def _accepted(media_type: str) -> str:
    """Return the type under which the vendor reads a medium."""
    group = media_type.partition("/")[0]
    if group == "image" and media_type not in _IMAGES:
        raise ApiError(
            "invalid_request",
            f"This provider takes no images of type {media_type}; send one of {', '.join(_IMAGES)}",
        )
    if group in ("image", "audio", "video", "text") or media_type == PDF:
        return media_type
    if media_type in _TEXTUAL:
        return "text/plain"
    raise ApiError(
        "invalid_request",
        f"This provider takes no files of type {media_type}; send PDF, text, an image, audio or video instead",
    )


def kind_of(media_type: str) -> MediaKind:
    """Return the kind of a medium that a model has made."""
    group = media_type.partition("/")[0]
    if group == "image":
        return "image"
    if group == "audio":
        return "audio"
    return "video" if group == "video" else "document" if media_type == PDF else "file"
