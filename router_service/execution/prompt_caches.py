"""Make caches under a name for the prompts that clients have marked, and remember them for later requests.

A cache belongs to one account at one address, and is remembered by the process that has made it. Whatever goes wrong
with one, the request is sent without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import blake2b
from urllib.parse import urlsplit

import msgspec

from router_service.core.bounded_cache import BoundedCache
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.marked_prompt import MarkedPrefix, NamedCache
from router_service.providers.wire_format import Encoded
from router_service.upstream.transport import Transport

logger = logging.getLogger(__name__)

MAX_CACHES, MAX_CACHE_BYTES = 20_000, 8 * 1024 * 1024
# Seconds for which a request waits for a cache that is made; a later request finds it. Then those of the exchange.
WAIT_S, CREATION_TIMEOUT_S = 10.0, 60.0
# Seconds before its end in which a cache is not used any more.
MARGIN_S = 15.0
# Seconds for which no cache is asked for again that the provider has refused.
REFUSED_S = 300.0
# A longer prefix is cached beside a shorter one when it has so many times its tokens: all that was written is then at
# most twice what the longest one holds.
GROWTH = 2
# The header that says to which account a cache belongs. Tokens change, and are those of one account at an address.
KEY_HEADER = "x-goog-api-key"
# What a provider answers where the cache may be what it refuses.
REFUSING_CACHE = (400, 403, 404)


class _Entry(msgspec.Struct):
    """Hold a cache until ``ends_at``, or that there is none till then. ``owed`` is true until a request pays for it."""

    ends_at: float
    cache: NamedCache | None = None
    token_minutes: int = 0
    owed: bool = False


class UsedCache(msgspec.Struct, frozen=True):
    """Hold the cache that a request uses, and the request's ``body``. ``pays`` is true for the one that pays for it."""

    key: bytes
    body: bytes
    made_tokens: int
    token_minutes: int
    pays: bool

    def charged(self, encoded: Encoded) -> Encoded:
        """Return ``encoded`` with what the cache has cost, if its request pays for that."""
        if not self.pays:
            return encoded
        context = msgspec.structs.replace(
            encoded.context, cache_made_tokens=self.made_tokens, cache_token_minutes=self.token_minutes
        )
        return msgspec.structs.replace(encoded, context=context)

    def replacing(self, encoded: Encoded, signed: HttpRequest) -> tuple[Encoded, HttpRequest]:
        """Return both with the cache in place of what it holds; the marks are not reported as left out then."""
        kept = tuple(name for name in encoded.dropped if name != "cache_control")
        sent = HttpRequest(signed.url, signed.headers, self.body)
        return msgspec.structs.replace(self.charged(encoded), dropped=kept), sent


class CacheRefused(Exception):
    """The provider has refused a request with the cache ``used``, which may be why; it is to be sent without one."""

    def __init__(self, used: UsedCache) -> None:
        super().__init__()
        self.used = used


class PromptCaches:
    """Hold the caches of one process. ``clock`` returns seconds from any origin."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: BoundedCache[bytes, _Entry] = BoundedCache(MAX_CACHES, MAX_CACHE_BYTES, _size)
        self._making: dict[bytes, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def using(
        self, prefixes: Sequence[MarkedPrefix], signed: HttpRequest, upstream: Transport, timeout_s: float
    ) -> AsyncIterator[UsedCache | None]:
        """Yield the cache for the longest of ``prefixes`` that has one, or is given one now; ``None`` for none.

        ``signed`` is the request that would be sent without a cache, with its credentials. Where the request fails
        within, another one will pay for the cache. Raises ``CacheRefused`` if the cache may be why it has failed.
        """
        used = await self._find(prefixes, signed, upstream, timeout_s)
        try:
            yield used
        except BaseException as error:
            entry = None if used is None else self._found.get(used.key)
            if used is None or entry is None:
                raise
            if not isinstance(error, ApiError) or error.upstream_status not in REFUSING_CACHE:
                entry.owed = entry.owed or used.pays
                raise
            self._found.put(used.key, _Entry(self._clock() + REFUSED_S))
            raise CacheRefused(used) from error

    async def _find(
        self, prefixes: Sequence[MarkedPrefix], signed: HttpRequest, upstream: Transport, timeout_s: float
    ) -> UsedCache | None:
        keys = [_key(prefix, signed) for prefix in prefixes]
        known = next((at for at, key in enumerate(keys) if self._live(key) is not None), None)
        if prefixes and (known is None or prefixes[0].tokens >= GROWTH * prefixes[known].tokens):
            await self._make(keys[0], prefixes[0], signed, upstream, min(WAIT_S, timeout_s / 2))
            known = 0 if self._live(keys[0]) is not None else known
        entry = None if known is None else self._live(keys[known])
        if known is None or entry is None or entry.cache is None:
            return None
        pays, entry.owed = entry.owed, False
        body = prefixes[known].rest(entry.cache)
        return UsedCache(keys[known], body, entry.cache.tokens, entry.token_minutes, pays)

    def _live(self, key: bytes) -> _Entry | None:
        """Return the entry of a cache that can be used now."""
        entry = self._found.get(key)
        return entry if entry is not None and entry.cache is not None and entry.ends_at > self._clock() else None

    async def _make(
        self, key: bytes, prefix: MarkedPrefix, signed: HttpRequest, upstream: Transport, wait_s: float
    ) -> None:
        """Wait until the cache is made, unless it was refused lately; one that is being made is not made again."""
        entry = self._found.get(key)
        if entry is not None and entry.ends_at > self._clock():
            return
        task = self._making.get(key)
        if task is None:
            # A request that is cancelled does not take the cache away from the others.
            task = self._making[key] = asyncio.create_task(self._ask(key, prefix, signed, upstream))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        await asyncio.wait({task}, timeout=wait_s)

    async def _ask(self, key: bytes, prefix: MarkedPrefix, signed: HttpRequest, upstream: Transport) -> None:
        began = self._clock()
        asked = prefix.creation()
        refused = ""
        cache = None
        try:
            answer = await upstream.send(HttpRequest(asked.url, signed.headers, asked.body), CREATION_TIMEOUT_S)
            cache = prefix.created(answer.body) if answer.status == 200 else None
            refused = f"status {answer.status}"
        except ApiError as error:
            refused = error.error_type
        if cache is None:
            logger.info("no cache of %d tokens at %s: %s", prefix.tokens, urlsplit(asked.url).hostname, refused)
            self._found.put(key, _Entry(self._clock() + REFUSED_S))
            return
        minutes = cache.tokens * prefix.lifetime_s // 60
        self._found.put(key, _Entry(began + prefix.lifetime_s - MARGIN_S, cache, minutes, owed=True))


def _key(prefix: MarkedPrefix, signed: HttpRequest) -> bytes:
    account = signed.headers.get(KEY_HEADER, "")
    return blake2b(prefix.digest + account.encode(), digest_size=16).digest()


def _size(key: bytes, entry: _Entry) -> int:
    return len(key) + (len(entry.cache.name) if entry.cache is not None else 0)
