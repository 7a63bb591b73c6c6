"""Track how each endpoint is doing: windows, uptime tiers, breaker and rate limits, shared between workers."""

from router_service.health.health import Health

__all__ = ["Health"]
