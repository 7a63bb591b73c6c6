"""Divide a prompt where its client has marked it: what a cache with a name may hold, and what follows it.

Sources: Gemini API reference: cachedContents; Vertex AI reference: projects.locations.cachedContents; Gemini API docs:
Context caching (the least tokens of a cache). A request that names a cache has neither system instruction nor tools,
so every prefix holds both.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.http_request import HttpRequest
from router_service.core.parts import CacheMark
from router_service.providers.counts import token_count
from router_service.providers.formats.gemini.model_traits import gemini_traits
from router_service.providers.marked_prompt import NamedCache

Body = dict[str, Any]
HELD = ("systemInstruction", "tools", "toolConfig")
LIFETIME_S, HOUR_S = 300, 3600
CHARACTERS_OF_A_TOKEN = 4
# An image or a page of a document counts this many tokens. Source: Gemini API docs: Understand and count tokens.
TOKENS_OF_A_MEDIUM = 258


class ContentMark(msgspec.Struct, frozen=True):
    """Mark the contents before number ``contents``, and ``parts`` parts of that one."""

    contents: int
    parts: int
    mark: CacheMark


class _Created(msgspec.Struct, rename="camel"):
    name: str
    usage_metadata: dict[str, Any] = {}


class ContentPrefix:
    """Implement ``MarkedPrefix``."""

    def __init__(self, body: Body, endpoint: Endpoint, at: ContentMark) -> None:
        self._body, self._endpoint = body, endpoint
        turns = body["contents"]
        cut = turns[at.contents] if at.parts else None
        begun = [] if cut is None else [cut | {"parts": cut["parts"][: at.parts]}]
        left = [] if cut is None else [cut | {"parts": cut["parts"][at.parts :]}]
        self._held: list[Body] = [*turns[: at.contents], *begun]
        self._left: list[Body] = [*left, *turns[at.contents + len(begun) :]]
        self.lifetime_s = HOUR_S if at.mark.ttl == "1h" else LIFETIME_S

    @property
    def is_usable(self) -> bool:
        """Return whether the cache is large enough, and what is left can stand alone: a turn of the user's words."""
        held = bool(self._held) or any(name in self._body for name in HELD)
        first = self._left[0] if self._left else {"role": "model"}
        stands = first["role"] == "user" and not any("functionResponse" in part for part in first["parts"])
        return held and stands and self.tokens >= gemini_traits(self._endpoint.upstream_model).least_cached

    @cached_property
    def tokens(self) -> int:
        """Return an estimate of the tokens."""
        told = sum(_characters(part) for turn in self._held for part in turn["parts"])
        told += sum(_characters(part) for part in self._body.get("systemInstruction", {}).get("parts", ()))
        told += len(msgspec.json.encode(self._body["tools"])) if "tools" in self._body else 0
        return told // CHARACTERS_OF_A_TOKEN

    @cached_property
    def digest(self) -> bytes:
        """Return the digest of what the cache holds, for which model and where; not of how long."""
        request = self._creation()
        return blake2b(request.url.encode() + b"\0" + request.body, digest_size=16).digest()

    def creation(self) -> HttpRequest:
        """Return the request that makes the cache."""
        return self._creation(ttl=f"{self.lifetime_s}s")

    def created(self, body: bytes) -> NamedCache | None:
        """Return the cache that the provider describes, ``None`` if it describes none."""
        try:
            made = msgspec.json.decode(body, type=_Created)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        counted = token_count(made.usage_metadata.get("totalTokenCount"))
        return NamedCache(made.name, counted or self.tokens) if made.name else None

    def rest(self, cache: NamedCache) -> bytes:
        """Return the body of the request with the cache in place of what it holds."""
        kept = {name: value for name, value in self._body.items() if name not in HELD}
        return msgspec.json.encode(kept | {"contents": self._left, "cachedContent": cache.name})

    def _creation(self, **fields: str) -> HttpRequest:
        address, publisher, _ = (self._endpoint.base_url or "").partition("/publishers/google")
        model = f"models/{self._endpoint.upstream_model}"
        if publisher:
            model = f"{address[address.find('projects/') :]}{publisher}/{model}"
        body: Body = {"model": model} | {name: self._body[name] for name in HELD if name in self._body} | fields
        if self._held:
            body["contents"] = self._held
        return HttpRequest(f"{address}/cachedContents", {"content-type": "application/json"}, msgspec.json.encode(body))


class MarkedContents:
    """Implement ``MarkedPrompt``."""

    def __init__(self, body: Body, endpoint: Endpoint, marks: Iterable[ContentMark]) -> None:
        self._body, self._endpoint, self._marks = body, endpoint, marks

    def prefixes(self) -> list[ContentPrefix]:
        """Return what may be cached, the longest first; a shorter one lives as long as a longer one at least."""
        found = [ContentPrefix(self._body, self._endpoint, self._before_the_end(at)) for at in self._marks]
        usable = {prefix.digest: prefix for prefix in found if prefix.is_usable}
        return sorted(usable.values(), key=lambda prefix: prefix.tokens, reverse=True)

    def _before_the_end(self, at: ContentMark) -> ContentMark:
        """Return the mark; one at the end of the prompt stands before the last turn, since no cache can hold that."""
        turns = self._body["contents"]
        is_end = at.contents >= len(turns) or (at.contents == len(turns) - 1 and at.parts >= len(turns[-1]["parts"]))
        return ContentMark(len(turns) - 1, 0, at.mark) if is_end else at


def _characters(part: Body) -> int:
    """Return the size of a part as if it were text."""
    if isinstance(text := part.get("text"), str):
        return len(text)
    if "inlineData" in part or "fileData" in part:
        return TOKENS_OF_A_MEDIUM * CHARACTERS_OF_A_TOKEN
    return len(msgspec.json.encode(part))
