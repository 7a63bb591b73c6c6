"""Define middleware, and wrap the dispatch of a request in it.

The first one named is the outermost. It sees the request first and the events last.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from importlib.metadata import entry_points
from typing import Literal, Protocol

from router_service.core.events import Event
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest

GROUP = "portolan.middleware"
Needs = Literal["none", "text", "events"]


class Answer(Protocol):
    """Yield the events of an answer in batches; the last event is ``Ended`` or ``Failed``. Close it on every path."""

    def batches(self) -> AsyncGenerator[list[Event]]: ...


# Each call dispatches the request once more, and its attempts belong to the next step of the exchange.
Next = Callable[[Exchange, GenerationRequest], Awaitable[Answer]]


class Middleware(Protocol):
    """Act on a request and on its answer. ``needs`` says what it reads of the answer.

    It may call ``next`` with a changed request, several times or never. An ``ApiError`` that it raises before it
    returns reaches the client as the error of the request.
    """

    name: str
    needs: Needs

    async def __call__(self, exchange: Exchange, request: GenerationRequest, next: Next) -> Answer: ...


def wrap(middleware: Sequence[Middleware], innermost: Next) -> Next:
    """Return ``innermost`` itself where there is no middleware."""
    wrapped = innermost
    for one in reversed(middleware):
        wrapped = _bind(one, wrapped)
    return wrapped


def _bind(one: Middleware, following: Next) -> Next:
    async def call(exchange: Exchange, request: GenerationRequest) -> Answer:
        return await one(exchange, request, following)

    return call


def load_middleware(names: Sequence[str]) -> list[Middleware]:
    """Return the installed middleware of these names, in this order.

    A package registers a class without arguments as an entry point of the group ``portolan.middleware``. Raises
    ``ValueError`` that lists the installed ones if a name is not among them.
    """
    installed = {point.name: point for point in entry_points(group=GROUP)}
    unknown = [name for name in names if name not in installed]
    if unknown:
        found = ", ".join(sorted(installed)) or "none"
        raise ValueError(f"middleware {', '.join(unknown)} is not installed; installed: {found}")
    return [installed[name].load()() for name in names]
