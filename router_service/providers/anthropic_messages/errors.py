"""Map the format's own error types to typed errors."""

from __future__ import annotations

CODES = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "provider_unavailable",
    "billing_error": "provider_unavailable",
    "permission_error": "permission_denied",
    "not_found_error": "provider_unavailable",
    "request_too_large": "payload_too_large",
    "rate_limit_error": "rate_limit_exceeded",
    "overloaded_error": "provider_overloaded",
    "timeout_error": "timeout",
    "api_error": "provider_unavailable",
}
