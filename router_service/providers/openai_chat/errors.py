"""The format's own error codes."""

from __future__ import annotations

CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "string_above_max_length": "string_too_long",
    "rate_limit_exceeded": "rate_limit_exceeded",
    "insufficient_quota": "provider_unavailable",
    "content_policy_violation": "content_policy_violation",
    "content_filter": "content_policy_violation",
    "model_not_found": "provider_unavailable",
}
