"""Decompress responses, although none is asked for: some providers compress whatever the request says.

gzip and deflate are decoded, with the standard library alone. An answer in another encoding is a typed error.
"""

from __future__ import annotations

import zlib

from router_service.upstream.transport import MAX_BODY_BYTES, connection_error

ZLIB_METHOD = 8
AUTOMATIC_HEADER = zlib.MAX_WBITS | 32
# A part of a body, of at most some 256 kB, that grows more than this is no text: JSON shrinks to a tenth at best, and
# decompressing more of it at once would block the event loop.
MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 256 * 1024


class BodyDecompressor:
    """Decompress one body that arrives in pieces, of at most ``MAX_BODY_BYTES`` when decompressed, streams included."""

    def __init__(self) -> None:
        self._inflate: zlib._Decompress | None = None
        self._remaining = MAX_BODY_BYTES

    def decompress(self, data: bytes) -> bytes:
        """Return what ``data`` adds to the body, possibly nothing.

        Raises ``ApiError`` for damaged data and for a body that is too large or grows too much, of which no more is
        decompressed.
        """
        parts: list[bytes] = []
        allowed = min(self._remaining, max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * len(data)))
        while data:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(window_bits(data))
            try:
                part = self._inflate.decompress(data, allowed + 1)
            except zlib.error:
                raise connection_error("its compressed response is damaged") from None
            self._remaining -= len(part)
            allowed -= len(part)
            if allowed < 0:
                # The traceback of the error keeps these variables, and the exchange keeps the error.
                part, parts = b"", []
                raise connection_error(self._growth())
            parts.append(part)
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                # A body of gzip may have several members.
                data, self._inflate = self._inflate.unused_data, None
        return b"".join(parts)

    def _growth(self) -> str:
        if self._remaining < 0:
            return f"its response exceeds {MAX_BODY_BYTES:,} bytes when it is decompressed"
        return f"its response grows more than {MAX_RATIO} times when it is decompressed"

    def finish(self) -> None:
        """Raise ``ApiError`` if the compressed data are incomplete although the body has ended."""
        if self._inflate is not None:
            raise connection_error("its compressed response ends too early")


def decompressor_of(encoding: str) -> BodyDecompressor | None:
    """Return what decodes a ``content-encoding``, or ``None`` if nothing has to be. Raises ``ApiError``."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return BodyDecompressor()
    raise connection_error(f"its response has the encoding {encoding[:40]!r}, which was not requested")


def window_bits(data: bytes) -> int:
    """Return the format for zlib, from the first byte of the body: some servers send deflate without its header."""
    is_gzip = data[0] == 0x1F
    is_zlib = data[0] & 0x0F == ZLIB_METHOD and data[0] >> 4 <= zlib.MAX_WBITS - 8
    return AUTOMATIC_HEADER if is_gzip or is_zlib else -zlib.MAX_WBITS
