"""Define the next step after a failed attempt, by the class of its error, in one table."""

from __future__ import annotations

from enum import Enum

from router_service.core.errors import ApiError
from router_service.upstream.transport import RouterExhausted, StaleConnection


class RetryAction(Enum):
    """Name the steps that may follow a failed attempt."""

    NEXT_ENDPOINT = "next endpoint"
    SAME_ENDPOINT = "the same endpoint once more"
    LARGER_ENDPOINT = "next endpoint with a larger context"
    NEXT_MODEL = "next model"
    STOP = "stop"


# Source: "model fallbacks" of the reference. Within a model 5xx, timeouts and 429 move to the next endpoint; any error,
# a prompt too long or refused among them, moves to the next model. The endpoints of a model get the same request, so an
# error that the provider attributes to the client skips the model's other endpoints. Their contexts may differ, so a
# prompt that is too long for one skips only those that are not larger.
RULES = {
    "provider_unavailable": RetryAction.NEXT_ENDPOINT,
    "provider_overloaded": RetryAction.NEXT_ENDPOINT,
    "timeout": RetryAction.NEXT_ENDPOINT,
    "rate_limit_exceeded": RetryAction.NEXT_ENDPOINT,
    "server": RetryAction.NEXT_ENDPOINT,
    # The provider judges our account or our location.
    "permission_denied": RetryAction.NEXT_ENDPOINT,
    "not_found": RetryAction.NEXT_ENDPOINT,
    "context_length_exceeded": RetryAction.LARGER_ENDPOINT,
    "max_tokens_exceeded": RetryAction.NEXT_MODEL,
    "token_limit_exceeded": RetryAction.NEXT_MODEL,
    "string_too_long": RetryAction.NEXT_MODEL,
    "content_policy_violation": RetryAction.NEXT_MODEL,
    "refusal": RetryAction.NEXT_MODEL,
    "invalid_request": RetryAction.NEXT_MODEL,
    "invalid_prompt": RetryAction.NEXT_MODEL,
    "payload_too_large": RetryAction.NEXT_MODEL,
    "unprocessable": RetryAction.NEXT_MODEL,
    # The router judges the client's key and credit, so every provider would give the same result.
    "authentication": RetryAction.STOP,
    "payment_required": RetryAction.STOP,
}


def retry_action(error: ApiError) -> RetryAction:
    """Return the next step after ``error``."""
    if isinstance(error, RouterExhausted):
        return RetryAction.STOP
    return RetryAction.SAME_ENDPOINT if isinstance(error, StaleConnection) else RULES[error.error_type]
