"""Build endpoints, states and measurements for tests of planning."""

from __future__ import annotations

from data.catalogue.types import Endpoint, Price
from router_service.core.preferences import Percentiles
from router_service.planning.eligibility import RequestProfile
from router_service.planning.market_state import EndpointMeasurement, MarketState

PROFILE = RequestProfile(100, None, ("messages", "model"), False, False, 12)
TOOL_PROFILE = PROFILE._replace(parameters=("messages", "model", "tools"), tools=True)


def endpoint(name: str, usd: float = 1.0, **more: object) -> Endpoint:
    """Return an endpoint at ``usd`` per million tokens, for prompt and completion alike."""
    fields: dict[str, object] = {
        "id": f"{name}:b",
        "tag": name,
        "provider": name,
        "provider_name": name.title(),
        "model": "a/b",
        "upstream_model": "b",
        "wire_format": "openai_chat",
        "base_url": "http://x",
        "key_env": (),
        "price": Price(round(usd * 1e9), round(usd * 1e9)),
        "context_length": 8192,
    }
    return Endpoint(**(fields | more))  # type: ignore[arg-type]


def state(*outages: str, **more: object) -> MarketState:
    """Return a state with ``outages`` and without measurements, in which price shares serve."""
    return MarketState("v", 0, frozenset(f"{name}:b" for name in outages))._replace(**more)  # type: ignore[arg-type]


def measure(
    ttft: float | None = None, speed: float | None = None, requests: int = 1000, **more: int
) -> EndpointMeasurement:
    """Return a measurement with TTFT in seconds and speed in tokens per second, the same at all percentiles."""
    return EndpointMeasurement(
        Percentiles(ttft, ttft, ttft, ttft), Percentiles(speed, speed, speed, speed), requests=requests, **more
    )
