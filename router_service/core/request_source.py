"""Hold a request as its client wrote it, beside the parsed one that a translation needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Raw

from router_service.core.generation import GenerationRequest


class RequestSource:
    """Hold a request to dispatch. ``parsed`` is made when something needs its parts.

    ``fields`` are its top-level fields as JSON in ``dialect``; a format of the same dialect copies those that it takes
    as they are. ``dialect`` is ``None`` where there are none. ``traits`` are those of the messages, as a skin of the
    dialect has found them.
    """

    __slots__ = ("_parse", "_parsed", "dialect", "fields", "stream", "traits")

    def __init__(
        self,
        dialect: str,
        fields: Mapping[str, Raw],
        traits: int,
        *,
        stream: bool,
        parse: Callable[[Mapping[str, Raw]], GenerationRequest],
    ) -> None:
        self.dialect: str | None = dialect
        self.fields = fields
        self.traits = traits
        self.stream = stream
        self._parse = parse
        self._parsed: GenerationRequest | None = None

    @classmethod
    def of(cls, request: GenerationRequest) -> RequestSource:
        """Return the source of a request that has no other form."""
        source = cls.__new__(cls)
        source.dialect, source.fields, source.traits = None, {}, 0
        source.stream, source._parsed = request.stream, request
        return source

    @property
    def parsed(self) -> GenerationRequest:
        """Return the request. Raises ``ApiError`` 400 naming the field that is malformed."""
        if self._parsed is None:
            self._parsed = self._parse(self.fields)
        return self._parsed
