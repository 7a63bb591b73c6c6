"""Read the mark by which OpenAI's APIs ask to cache the prompt, as the reference defines it for all of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import EXPECTED, read_field
from router_service.core.parts import CacheMark
from router_service.core.wire.chat import ChatCacheControl

FIELD = "cache_control"
_CACHE = msgspec.json.Decoder(ChatCacheControl | None)


def read_cache_mark(fields: Mapping[str, Raw]) -> CacheMark | None:
    """Return the mark of the whole prompt. Raises ``ApiError`` 400 for one that is malformed."""
    found = read_field(fields, FIELD, _CACHE, EXPECTED[FIELD])
    return None if found is None else CacheMark(found.ttl)
