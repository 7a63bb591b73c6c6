"""Translate media to image and document blocks.

Sources: Claude docs: Vision, PDF support, Files API.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.parts import Media
from router_service.providers.formats.anthropic_messages.dialect import messages_dialect_at

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
# First characters of the base64 text of each kind of file.
_MAGIC = {"iVBORw": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp", "JVBERi": PDF}
_TEXTUAL = ("application/json", "application/xml", "application/x-yaml", "application/yaml", "application/toml")


def takes_data_alone(part: Media, endpoint: Endpoint) -> bool:
    """Return whether a medium has to be sent by its data: Vertex AI and Bedrock read no addresses."""
    return part.url is not None and messages_dialect_at(endpoint).body_version is not None


def media_block(part: Media) -> dict[str, Any]:
    """Return the block of a medium. Raises ``ApiError`` 400 for one that the format cannot carry."""
    if part.kind in ("audio", "video"):
        raise ApiError(
            "invalid_request",
            f"This provider takes no {part.kind} input; remove the {part.kind} part or ask another model",
        )
    media_type = _media_type(part)
    if part.kind == "image" or (media_type or "").startswith("image/"):
        return {"type": "image", "source": _image_source(part, media_type)}
    return {"type": "document", "source": _document_source(part, media_type)}


def _media_type(part: Media) -> str | None:
    declared = (part.media_type or "").partition(";")[0].strip().lower()
    declared = "image/jpeg" if declared == "image/jpg" else declared
    data = part.data or ""
    found = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    # The vendor refuses an image whose bytes are of another type than its media type says.
    return found or declared or None


def _image_source(part: Media, media_type: str | None) -> dict[str, Any]:
    if part.data is None:
        return _remote_source(part)
    if media_type not in IMAGE_TYPES:
        raise ApiError(
            "invalid_request",
            f"This provider takes no images of type {media_type or 'unknown'}; send one of {', '.join(IMAGE_TYPES)}",
        )
    return {"type": "base64", "media_type": media_type, "data": part.data}


def _document_source(part: Media, media_type: str | None) -> dict[str, Any]:
    if part.data is None:
        return _remote_source(part)
    if media_type in (PDF, None):
        return {"type": "base64", "media_type": PDF, "data": part.data}
    if media_type.startswith("text/") or media_type in _TEXTUAL:
        try:
            text = base64.b64decode(part.data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ApiError(
                "invalid_request", f"The file {part.name or media_type} is no base64 of text in UTF-8; send it as such"
            ) from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise ApiError(
        "invalid_request", f"This provider takes no files of type {media_type}; send PDF, text or an image instead"
    )


def _remote_source(part: Media) -> dict[str, Any]:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    return {"type": "url", "url": part.url or ""}
