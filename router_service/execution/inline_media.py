"""Replace the media that a provider takes as data alone by what is at their URLs, before a request is encoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from router_service.core.embeddings import EmbeddingInput, EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import Media, ToolResult
from router_service.upstream.address_rules import FetchFailed
from router_service.upstream.fetcher import FetchedMedium, MediaFetcher

MAX_SHOWN = 120
Wanted = Callable[[Media], bool]
P = TypeVar("P")


class RequestMedia:
    """Fetch the media of one request, each of them once, whichever endpoints are tried."""

    __slots__ = ("_fetched", "_fetcher", "_left")

    def __init__(self, fetcher: MediaFetcher) -> None:
        self._fetcher = fetcher
        self._left = fetcher.rules.max_bytes
        self._fetched: dict[tuple[str, str], FetchedMedium] = {}

    async def inlined(self, request: GenerationRequest, wanted: Wanted) -> GenerationRequest:
        """Return ``request`` with the content of the media that are ``wanted``; itself if there are none.

        Raises ``ApiError`` 400 that names the medium and says why it cannot be fetched.
        """
        turns = [*request.instructions, *request.messages]
        places = [
            (f"messages[{at}].content[{position}]", part)
            for at, turn in enumerate(turns)
            for position, part in enumerate(_media_of(turn))
            if part is not None and _is_remote(part) and wanted(part)
        ]
        if not places:
            return request
        await self._fetch(places)
        replaced = [self._turn(turn, wanted) for turn in turns]
        count = len(request.instructions)
        return msgspec.structs.replace(request, instructions=replaced[:count], messages=replaced[count:])

    async def inlined_inputs(self, request: EmbeddingsRequest, wanted: Wanted) -> EmbeddingsRequest:
        """Return ``request`` as ``inlined`` does, for the inputs of embeddings."""
        places = [
            (f"input[{at}].content[{position}]", part)
            for at, one in enumerate(request.inputs)
            if not isinstance(one, str)
            for position, part in enumerate(one)
            if isinstance(part, Media) and _is_remote(part) and wanted(part)
        ]
        if not places:
            return request
        await self._fetch(places)
        inputs: list[Any] = [one if isinstance(one, str) else self._parts(one, wanted) for one in request.inputs]
        found: list[EmbeddingInput] = inputs
        return msgspec.structs.replace(request, inputs=found)

    async def _fetch(self, places: list[tuple[str, Media]]) -> None:
        """Fetch what is not there yet, one after the other: together they may have so many bytes."""
        most = self._fetcher.rules.max_media
        if len(places) > most:
            raise ApiError(
                "invalid_request",
                f"{places[most][0]} is one of {len(places)} media given by URL; the provider takes them as data alone, "
                f"and the router fetches at most {most} for one request. Send the others as base64",
            )
        for where, part in places:
            key = _key(part)
            if key in self._fetched:
                continue
            try:
                found = await self._fetcher.fetch(key[1], part.kind, self._left)
            except FetchFailed as failed:
                raise ApiError(
                    "invalid_request",
                    f"{where}: the {part.kind} at {_shown(key[1])} cannot be fetched: {failed}. Send it as base64, or "
                    "from another address",
                ) from None
            self._left -= len(found.content)
            self._fetched[key] = found
            # Each fetch is a step of its own for other requests.
            await asyncio.sleep(0)

    def _turn(self, turn: Message, wanted: Wanted) -> Message:
        return msgspec.structs.replace(turn, parts=self._parts(turn.parts, wanted))

    def _parts(self, parts: list[P], wanted: Wanted) -> list[P]:
        return [self._part(part, wanted) for part in parts]

    def _part(self, part: Any, wanted: Wanted) -> Any:
        if isinstance(part, ToolResult):
            return msgspec.structs.replace(part, content=self._parts(part.content, wanted))
        if isinstance(part, Media) and _is_remote(part) and wanted(part):
            return self._fetched[_key(part)].of(part)
        return part


def _media_of(turn: Message) -> Iterator[Media | None]:
    """Yield each part of the content of ``turn``, ``None`` for what is no medium; the parts of tool results too."""
    for part in turn.parts:
        for one in part.content if isinstance(part, ToolResult) else (part,):
            yield one if isinstance(one, Media) else None


def _is_remote(part: Media) -> bool:
    return part.url is not None and part.data is None and part.file_id is None


def _key(part: Media) -> tuple[str, str]:
    return part.kind, part.url or ""


def _shown(url: str) -> str:
    """Return what of ``url`` may stand in a sentence: no user, no query, not all of a long path."""
    try:
        parts = urlsplit(url)
        text = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    except ValueError:
        text = url.partition("?")[0].rpartition("@")[2]
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
