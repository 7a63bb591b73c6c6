"""Encode the frames of a log segment: length and CRC-32 as little-endian 32-bit integers, then the payload."""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

HEADER = struct.Struct("<II")


class Frames(NamedTuple):
    """Payloads of a segment; ``lost_bytes`` is the number of bytes after the last valid frame."""

    payloads: list[bytes]
    lost_bytes: int


def frame(payload: bytes) -> bytes:
    """Return ``payload``, which must not be empty, as a frame."""
    return HEADER.pack(len(payload), crc32(payload)) + payload


def payload_of(framed: bytes) -> memoryview:
    """Return the payload of one frame, without a copy."""
    return memoryview(framed)[HEADER.size :]


def read_frames(content: bytes) -> Frames:
    """Return the payloads up to the first torn, zeroed or altered frame, after which nothing can be trusted."""
    payloads: list[bytes] = []
    offset = 0
    while offset + HEADER.size <= len(content):
        length, checksum = HEADER.unpack_from(content, offset)
        end = offset + HEADER.size + length
        payload = content[offset + HEADER.size : end]
        if not length or end > len(content) or crc32(payload) != checksum:
            break
        payloads.append(payload)
        offset = end
    return Frames(payloads, len(content) - offset)
