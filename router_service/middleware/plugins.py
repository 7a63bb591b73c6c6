"""Read the plugins that a request names: the router has one of the reference's, and reports the others as dropped."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.middleware.healing import ResponseHealing
from router_service.middleware.middleware import Middleware

PLUGINS_FIELD = "plugins"
_SERVED: dict[str, Middleware] = {ResponseHealing.name: ResponseHealing()}
# Those that the reference documents and this router does not have.
_UNSERVED = frozenset(
    {
        "auto-beta-router", "auto-router", "context-compression", "file-parser", "fusion", "moderation",
        "pareto-router", "web", "web-fetch",
    }
)  # fmt: skip
MAX_PLUGINS = 32


class _Plugin(msgspec.Struct):
    id: str
    enabled: bool = True


_decode_entries = msgspec.json.Decoder(list[dict[str, Any]] | None).decode


def take_plugins(fields: dict[str, msgspec.Raw]) -> tuple[Middleware, ...]:
    """Return what acts on the request, and leave in ``fields`` the plugins that nobody serves.

    Raises ``ApiError`` 400 for an unknown id and for a list that is malformed.
    """
    raw = fields.get(PLUGINS_FIELD)
    if raw is None:
        return ()
    try:
        entries = _decode_entries(raw) or []
        found = msgspec.convert(entries, list[_Plugin])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(
            "invalid_request", "plugins must be an array of objects such as {'id': 'response-healing'}"
        ) from None
    if len(found) > MAX_PLUGINS:
        raise ApiError("invalid_request", f"plugins takes at most {MAX_PLUGINS} entries")
    for plugin in found:
        if plugin.id not in _SERVED and plugin.id not in _UNSERVED:
            known = ", ".join(sorted([*_SERVED, *_UNSERVED]))
            raise ApiError("invalid_request", f"plugins has the unknown id {plugin.id[:40]!r}; known ids are {known}")
    acting = dict.fromkeys(plugin.id for plugin in found if plugin.enabled and plugin.id in _SERVED)
    left = [entry for entry, plugin in zip(entries, found, strict=True) if plugin.enabled and plugin.id in _UNSERVED]
    if left:
        fields[PLUGINS_FIELD] = msgspec.Raw(msgspec.json.encode(left))
    else:
        del fields[PLUGINS_FIELD]
    return tuple(_SERVED[name] for name in acting)
