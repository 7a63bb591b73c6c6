"""Translate media to images and files of the input.

Sources: OpenAI docs: Images and vision, File inputs.
"""

from __future__ import annotations

from typing import Any

from router_service.core.errors import ApiError
from router_service.core.parts import Media

_PDF = "application/pdf"
_FILE_NAMES = {_PDF: "document.pdf", "text/plain": "document.txt", "text/markdown": "document.md"}


def input_media(part: Media) -> dict[str, Any]:
    """Return the part of content for a medium. Raises ``ApiError`` 400 for one that the format cannot carry."""
    if part.kind in ("audio", "video"):
        raise ApiError(
            "invalid_request",
            f"This provider takes no {part.kind} input; remove the {part.kind} part or ask another model",
        )
    media_type = (part.media_type or "").partition(";")[0].strip().lower()
    if part.kind == "image" or media_type.startswith("image/"):
        return _image_input(part, media_type or "image/png")
    return _file_input(part, media_type or _PDF)


def _image_input(part: Media, media_type: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "input_image", "detail": part.detail or "auto"}
    if part.file_id is not None:
        return found | {"file_id": part.file_id}
    url = part.url if part.data is None else f"data:{media_type};base64,{part.data}"
    return found | {"image_url": url or ""}


def _file_input(part: Media, media_type: str) -> dict[str, Any]:
    if part.file_id is not None:
        return {"type": "input_file", "file_id": part.file_id}
    if part.data is None:
        return {"type": "input_file", "file_url": part.url or ""}
    # The vendor reads no file without a name, which other formats do not require.
    name = part.name or _FILE_NAMES.get(media_type, "document")
    return {"type": "input_file", "filename": name, "file_data": f"data:{media_type};base64,{part.data}"}
