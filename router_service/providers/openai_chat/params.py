"""List the fields of a body that are for the router and are never sent upstream."""

from __future__ import annotations

ROUTER_ONLY = frozenset(
    {
        "model",
        "models",
        "provider",
        "plugins",
        "route",
        "transforms",
        "usage",
        "session_id",
        "trace",
        "debug",
        "preset",
        "stream",
        "stream_options",
        "include_reasoning",
        "reasoning",
        "service_tier",
        "speed",
    }
)
