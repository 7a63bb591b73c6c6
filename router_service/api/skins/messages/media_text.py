"""Write media of answers as text, since assistant turns of the messages API cannot contain them, and read them back."""

from __future__ import annotations

import re

from router_service.core.parts import Media, Text

_LINK = re.compile(r"!?\[(image|audio|video|document|file)\]\(data:([\w.+/-]+);base64,([A-Za-z0-9+/=]+)\)")


def media_text(media: Media) -> str:
    """Return a Markdown link to ``media``, with its bytes in a data URL, or its transcript; empty if it has neither."""
    mark = "!" if media.kind == "image" else ""
    if media.data:
        return f"{mark}[{media.kind}](data:{media.media_type or 'application/octet-stream'};base64,{media.data})"
    if media.url:
        return f"{mark}[{media.kind}]({media.url})"
    return media.transcript or ""


def read_media_text(part: Text) -> Media | None:
    """Return the medium that a text block stands for: one that is nothing but a link with a data URL."""
    if not part.text.endswith(")") or ";base64," not in part.text[:100]:
        return None
    found = _LINK.fullmatch(part.text)
    if found is None:
        return None
    return Media(kind=found[1], media_type=found[2], data=found[3], cache=part.cache)  # type: ignore[arg-type]
