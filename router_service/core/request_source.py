"""Hold a request as its client wrote it, beside the parsed one that a translation needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from router_service.core.generation import GenerationRequest


class RequestSource(msgspec.Struct):
    """Hold a request to dispatch; ``parsed`` is made when something needs its parts.

    ``fields`` are its top-level fields as JSON in ``dialect``; a format of the same dialect copies those that it takes
    as they are. ``dialect`` is ``None`` where there are none. ``traits`` are those of the messages, as a skin of the
    dialect has found them.
    """

    dialect: str | None
    fields: Mapping[str, msgspec.Raw]
    traits: int
    stream: bool
    parse: Callable[[Mapping[str, msgspec.Raw]], GenerationRequest] | None
    made: GenerationRequest | None = None

    @classmethod
    def of(cls, request: GenerationRequest) -> RequestSource:
        """Return the source of a request that has no other form."""
        return cls(None, {}, 0, request.stream, None, request)

    def release(self) -> None:
        """Free the request, which is not dispatched again."""
        self.fields, self.made, self.parse = {}, None, None

    @property
    def parsed(self) -> GenerationRequest:
        """Return the request. Raises ``ApiError`` 400 naming the field that is malformed."""
        if self.made is None:
            assert self.parse is not None, "the request was released, since nothing was to dispatch it again"
            self.made = self.parse(self.fields)
        return self.made
