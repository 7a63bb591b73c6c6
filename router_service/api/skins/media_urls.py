"""Read media that clients send by URL, by data URL or by the id of a file."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

from router_service.api.skins.field_errors import bad_field
from router_service.core.parts import Media, MediaKind


def file_of(data: str | None, file_id: str | None, name: str | None, where: str) -> Media:
    """Return a file by its ``data`` (a data URL, a URL or base64), or by its id.

    Raises ``ApiError`` 400 if the field at ``where`` has neither.
    """
    if data is None:
        if file_id is None:
            raise bad_field(where, "is empty; send file_data (a data URL or a URL) or file_id")
        return Media(kind="file", file_id=file_id, name=name)
    if data.startswith(("http://", "https://")):
        return Media(kind="file", url=data, name=name)
    media_type, content = split_data_url(data)
    is_document = media_type is not None and (media_type == "application/pdf" or media_type.startswith("text/"))
    kind: MediaKind = "document" if is_document else "file"
    return Media(kind=kind, media_type=media_type, data=content if content is not None else data, name=name)


def medium_at(kind: MediaKind, url: str, *, detail: str | None = None) -> Media:
    """Return a medium by its URL or data URL."""
    media_type, data = split_data_url(url)
    if data is None:
        return Media(kind=kind, url=url, detail=detail)
    return Media(kind=kind, media_type=media_type, data=data, detail=detail)


def split_data_url(url: str) -> tuple[str | None, str | None]:
    """Return the media type and the base64 data of a data URL, ``None`` for both of any other text."""
    if url[:5].lower() != "data:" or "," not in url:
        return None, None
    head, _, data = url[5:].partition(",")
    names = head.split(";")
    if names[-1].strip().lower() != "base64":
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return names[0].strip().lower() or None, data
