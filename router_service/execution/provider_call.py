"""Name the functions that make one call to a provider and that discard its response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from router_service.core.usage import Usage

T = TypeVar("T")
# The arguments are the endpoint, the attempt to fill in, and the seconds allowed until the first token.
ProviderCall = Callable[[Endpoint, Attempt, float], Awaitable[T]]
# The function closes a response that is not used, and returns its provider's own token count, if known.
DiscardResponse = Callable[[T], Usage | None]
