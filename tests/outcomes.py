"""Build outcomes of calls to providers, for tests that report them."""

from __future__ import annotations

from data.record.attempt import AttemptEnd, AttemptOutcome

DEFAULT_TOKENS = 1000


def outcome(
    endpoint: str, ended: AttemptEnd, *, stream: bool = True, lasted_s: float = 0.0, **more: object
) -> AttemptOutcome:
    """Return the outcome of a call to ``endpoint`` that lasted ``lasted_s``; ``more`` are further fields."""
    provider = endpoint.partition(":")[0]
    fields = {"endpoint": endpoint, "provider": provider, "model": "a/b", "ended": ended, "stream": stream}
    return AttemptOutcome(**fields, began_s=0.0, ended_s=lasted_s, **more)  # type: ignore[arg-type]


def answered(
    endpoint: str,
    latency_s: float = 0.0,
    tokens_per_s: float | None = None,
    *,
    stream: bool = True,
    completion_tokens: int | None = None,
    **more: object,
) -> AttemptOutcome:
    """Return a success; ``latency_s`` is the TTFT of a stream or the time of a non-streaming response."""
    duration_us = None
    if tokens_per_s is not None:
        completion_tokens = completion_tokens or DEFAULT_TOKENS
        duration_us = round(completion_tokens / tokens_per_s * 1e6)
    return outcome(
        endpoint,
        "answered",
        stream=stream,
        ttft_us=round(latency_s * 1e6) or None,
        duration_us=duration_us,
        completion_tokens=completion_tokens,
        **more,
    )


def failed(
    endpoint: str, error_type: str = "server", retry_after_s: float | None = None, *, lasted_s: float = 0.0
) -> AttemptOutcome:
    """Return a failure; ``retry_after_s`` is the provider's Retry-After."""
    return outcome(endpoint, "failed", lasted_s=lasted_s, error_type=error_type, retry_after_s=retry_after_s)
