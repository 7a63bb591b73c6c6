"""What follows a failed attempt, by the class of its error: the one table."""

from __future__ import annotations

from enum import Enum

from router_service.core.errors import ApiError
from router_service.upstream.transport import StaleConnection


class RetryAction(Enum):
    NEXT_ENDPOINT = "next endpoint"
    SAME_ENDPOINT = "the same endpoint once more"
    NEXT_MODEL = "next model"
    STOP = "stop"


# The reference (model fallbacks): within a model 5xx, timeouts and 429 move to the next endpoint; any error, a
# prompt too long or refused among them, moves to the next model. Every endpoint of a model has the same limits
# and was asked the same, so what its provider calls the client's fault skips the others of that model.
RULES = {
    "provider_unavailable": RetryAction.NEXT_ENDPOINT,
    "provider_overloaded": RetryAction.NEXT_ENDPOINT,
    "timeout": RetryAction.NEXT_ENDPOINT,
    "rate_limit_exceeded": RetryAction.NEXT_ENDPOINT,
    "server": RetryAction.NEXT_ENDPOINT,
    # The provider's verdict on our account or on a place.
    "permission_denied": RetryAction.NEXT_ENDPOINT,
    "not_found": RetryAction.NEXT_ENDPOINT,
    "context_length_exceeded": RetryAction.NEXT_MODEL,
    "max_tokens_exceeded": RetryAction.NEXT_MODEL,
    "token_limit_exceeded": RetryAction.NEXT_MODEL,
    "string_too_long": RetryAction.NEXT_MODEL,
    "content_policy_violation": RetryAction.NEXT_MODEL,
    "refusal": RetryAction.NEXT_MODEL,
    "invalid_request": RetryAction.NEXT_MODEL,
    "invalid_prompt": RetryAction.NEXT_MODEL,
    "payload_too_large": RetryAction.NEXT_MODEL,
    "unprocessable": RetryAction.NEXT_MODEL,
    # The client's own key or credit: ours to judge, never a provider's, and the same for all of them.
    "authentication": RetryAction.STOP,
    "payment_required": RetryAction.STOP,
}


def retry_action(error: ApiError) -> RetryAction:
    """The rule for ``error``."""
    return RetryAction.SAME_ENDPOINT if isinstance(error, StaleConnection) else RULES[error.error_type]
