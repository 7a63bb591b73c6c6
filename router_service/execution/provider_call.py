"""Name the functions by which one call to a provider is made and let go of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.schema import Attempt
from router_service.core.usage import Usage

T = TypeVar("T")
# Takes the endpoint, the attempt to fill in, and the seconds until the first token.
ProviderCall = Callable[[Endpoint, Attempt, float], Awaitable[T]]
# Lets go of a response that nobody takes; returns what its provider counted for it, where that is known.
DiscardResponse = Callable[[T], Usage | None]
