"""What follows a failed attempt, by the class of its error: the one table."""

from __future__ import annotations

from enum import Enum

from router_service.core.errors import ApiError
from router_service.upstream.transport import StaleConnection


class Then(Enum):
    NEXT_ENDPOINT = "next endpoint"
    SAME_ENDPOINT = "the same endpoint once more"
    NEXT_MODEL = "next model"
    STOP = "stop"


# The reference (model fallbacks): within a model 5xx, timeouts and 429 move to the next endpoint; any error, a
# prompt too long or refused among them, moves to the next model. Every endpoint of a model has the same limits
# and was asked the same, so what its provider calls the client's fault skips the others of that model.
RULES = {
    "provider_unavailable": Then.NEXT_ENDPOINT,
    "provider_overloaded": Then.NEXT_ENDPOINT,
    "timeout": Then.NEXT_ENDPOINT,
    "rate_limit_exceeded": Then.NEXT_ENDPOINT,
    "server": Then.NEXT_ENDPOINT,
    # The provider's verdict on our account or on a place.
    "permission_denied": Then.NEXT_ENDPOINT,
    "not_found": Then.NEXT_ENDPOINT,
    "context_length_exceeded": Then.NEXT_MODEL,
    "max_tokens_exceeded": Then.NEXT_MODEL,
    "token_limit_exceeded": Then.NEXT_MODEL,
    "string_too_long": Then.NEXT_MODEL,
    "content_policy_violation": Then.NEXT_MODEL,
    "refusal": Then.NEXT_MODEL,
    "invalid_request": Then.NEXT_MODEL,
    "invalid_prompt": Then.NEXT_MODEL,
    "payload_too_large": Then.NEXT_MODEL,
    "unprocessable": Then.NEXT_MODEL,
    # The client's own key or credit: ours to judge, never a provider's, and the same for all of them.
    "authentication": Then.STOP,
    "payment_required": Then.STOP,
}


def then(error: ApiError) -> Then:
    """The rule for ``error``."""
    return Then.SAME_ENDPOINT if isinstance(error, StaleConnection) else RULES[error.error_type]
