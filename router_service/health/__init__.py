"""How each endpoint is doing: windows, tiers, breaker, rate limits, shared between workers."""

from router_service.health.health import Health

__all__ = ["Health"]
