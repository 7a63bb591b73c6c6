"""Decompress request bodies: gzip, deflate and zstd, up to the limit of a body in bytes.

Source of the encodings: RFC 9110, section 8.4.1, and RFC 8878 with the window that RFC 9659 bounds.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from router_service.core.errors import ApiError, RequestRefusal
from router_service.upstream.decompression import window_bits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# A body may consist of several compressed parts. Each costs a copy of what follows it, so they are few.
MAX_PARTS = 16
# RFC 9659: no encoder may use a window of more than 8 MB for HTTP.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


class _Decompressor(Protocol):
    """Decompress one part. ``unused_data`` is what follows it once ``eof`` is true."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _zlib(data: bytes) -> _Decompressor:
    return zlib.decompressobj(window_bits(data))


def _zstd(_data: bytes) -> _Decompressor:
    return zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)


_OPEN: dict[str, Callable[[bytes], _Decompressor]] = {
    "gzip": _zlib,
    "x-gzip": _zlib,
    "deflate": _zlib,
    "zstd": _zstd,
}
_UNCOMPRESSED = ("", "identity")


def check_encoding(content_encoding: bytes) -> None:
    """Raise ``ApiError`` 415 for a ``content-encoding`` that ``decompress_body`` does not know."""
    name = _name(content_encoding)
    if name not in _OPEN and name not in _UNCOMPRESSED:
        message = f"The request body has the content-encoding {name[:40]!r}; send gzip, deflate, zstd or none"
        raise RequestRefusal(415, message)


async def decompress_body(body: bytes, content_encoding: bytes, limit: int) -> bytes:
    """Return ``body`` decompressed, outside the event loop.

    Raises ``ApiError`` 400 for damaged data, 413 beyond ``limit`` bytes, of which no more is decompressed, and 415.
    """
    check_encoding(content_encoding)
    name = _name(content_encoding)
    if name in _UNCOMPRESSED or not body:
        return body
    return await asyncio.to_thread(_decompressed, body, name, limit)


def _decompressed(body: bytes, name: str, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit
    data = body
    while data:
        if len(parts) == MAX_PARTS:
            raise ApiError("invalid_request", f"The request body has more than {MAX_PARTS} {name} parts; send one")
        try:
            decompressor = _OPEN[name](data)
            part = decompressor.decompress(data, left + 1)
        except (zlib.error, zstd.ZstdError):
            raise ApiError(
                "invalid_request", f"The request body is not valid {name}, as its content-encoding says; compress it"
            ) from None
        left -= len(part)
        if left < 0:
            message = f"The request body exceeds the limit of {limit:,} bytes when it is decompressed; send less"
            raise ApiError("payload_too_large", message)
        if not decompressor.eof:
            raise ApiError("invalid_request", f"The {name} data of the request body are incomplete; send all of them")
        parts.append(part)
        data = decompressor.unused_data
    return b"".join(parts)


def _name(content_encoding: bytes) -> str:
    return content_encoding.decode("latin-1").strip().lower()
