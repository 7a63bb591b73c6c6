"""Map the format's own error codes to typed errors."""

from __future__ import annotations

CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "string_above_max_length": "string_too_long",
    "rate_limit_exceeded": "rate_limit_exceeded",
    "insufficient_quota": "provider_unavailable",
    "content_policy_violation": "content_policy_violation",
    "content_filter": "content_policy_violation",  # Azure's code, Moonshot's type
    "ResponsibleAIPolicyViolation": "content_policy_violation",  # Azure
    "DataInspectionFailed": "content_policy_violation",  # Alibaba
    "data_inspection_failed": "content_policy_violation",  # Alibaba
    "1301": "content_policy_violation",  # Z.AI
    "invalid_prompt": "invalid_prompt",
    "model_not_found": "provider_unavailable",
}
