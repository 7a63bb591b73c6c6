"""Fetch media from URLs that clients send, for providers that take media as data alone.

Nothing else in the router connects to addresses that a client chooses. A host is resolved once for each connection, its
addresses are judged, and the connection is made to a judged address, so that a second answer of the name server cannot
lead elsewhere. Redirects are followed by the same rules. Proxies are never used, and nothing is kept between requests.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from router_service.core.parts import Media, MediaKind
from router_service.upstream.address_rules import (
    FetchedBody,
    FetchFailed,
    FetchRules,
    FetchTarget,
    Resolve,
    read_target,
)
from router_service.upstream.tls import client_context

MAX_REDIRECTS = 5
# Fetches of one process that may hold a body at a time.
MAX_AT_ONCE = 16
UNTYPED = ("", "application/octet-stream", "binary/octet-stream")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
_PREFIXES: dict[MediaKind, tuple[str, ...]] = {
    "image": ("image/",),
    "audio": ("audio/",),
    "video": ("video/",),
    "document": ("application/pdf", "text/plain", "text/markdown", "text/csv"),
    "file": ("application/", "text/plain", "text/markdown", "text/csv", "image/", "audio/", "video/"),
}


class FetchedMedium(NamedTuple):
    """Hold the content of a URL, its media type without parameters, and the last part of its path."""

    content: bytes
    media_type: str
    name: str | None

    def of(self, part: Media) -> Media:
        """Return ``part`` with the content in place of its URL."""
        kind: MediaKind = part.kind
        if kind == "file" and self.media_type == "application/pdf":
            kind = "document"
        return Media(
            kind=kind,
            media_type=self.media_type,
            data=base64.b64encode(self.content).decode(),
            name=part.name or (self.name if kind in ("document", "file") else None),
            detail=part.detail,
            cache=part.cache,
            extras=part.extras,
        )


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of ``host`` by the system's resolver. Raises ``OSError`` if it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class MediaFetcher:
    """Fetch by ``rules``. ``resolve`` and ``tls`` replace the system's resolver and trusted authorities."""

    def __init__(
        self, rules: FetchRules = FetchRules(), resolve: Resolve = resolve_host, tls: ssl.SSLContext | None = None
    ) -> None:
        self.rules = rules
        self._resolve = resolve
        self._tls = tls
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def fetch(self, url: str, kind: MediaKind, max_bytes: int) -> FetchedMedium:
        """Return the medium at ``url``, which must be of ``kind`` and have at most ``max_bytes``.

        Raises ``FetchFailed`` for anything else: it is forbidden, late, too large, of another type, or not there.
        """
        try:
            async with asyncio.timeout(self.rules.timeout_s), self._slots:
                return await self._follow(url, kind, max_bytes)
        except TimeoutError:
            raise FetchFailed(f"it was not there within {self.rules.timeout_s:g} s") from None

    async def _follow(self, url: str, kind: MediaKind, max_bytes: int) -> FetchedMedium:
        target = read_target(url, self.rules)
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._get(target, kind, max_bytes)
            if isinstance(found, FetchedMedium):
                return found
            url = urljoin(url, found)
            following = read_target(url, self.rules)
            if target.scheme == "https" and following.scheme == "http":
                raise FetchFailed("its server redirects from https to http")
            target = following
        raise FetchFailed(f"its server redirects more than {MAX_REDIRECTS} times")

    async def _get(self, target: FetchTarget, kind: MediaKind, max_bytes: int) -> FetchedMedium | str:
        """Return the medium, or the address that its server redirects to."""
        if self._tls is None and target.scheme == "https":
            self._tls = client_context()
        get = await asyncio.to_thread(_import_get)
        found = await get(target, self.rules, self._resolve, self._tls, max_bytes)
        if isinstance(found, str):
            return found
        return FetchedMedium(found.content, _media_type(found.headers, found.content, kind), _name(target.path))


def _import_get() -> Callable[..., Awaitable[FetchedBody | str]]:
    # The library that makes the connections takes a second to import.
    from router_service.upstream.fetch_connection import get

    return get


def _media_type(headers: dict[str, str], content: bytes, kind: MediaKind) -> str:
    """Return the media type: that of the first bytes where they are known, else the one that the server names."""
    named = headers.get("content-type", "").partition(";")[0].strip().lower()
    found = next((name for magic, name in _MAGIC if content.startswith(magic)), None)
    if content[:4] == b"RIFF":
        found = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(content[8:12], found)
    if found is None and content[4:8] == b"ftyp" and named in UNTYPED:
        found = "video/mp4"
    media_type = found or named
    if media_type in UNTYPED:
        raise FetchFailed("its server names no media type, and its content is of no known one")
    if not media_type.startswith(_PREFIXES[kind]):
        raise FetchFailed(f"it is {media_type[:80]}, which is no {kind} that providers take")
    return media_type


def _name(path: str) -> str | None:
    name = unquote(urlsplit(path).path.rpartition("/")[2])[:255]
    return name if name.isprintable() and name.strip() else None
