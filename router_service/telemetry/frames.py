"""Frames of a log segment: length and CRC-32 of the payload, both little-endian 32 bit, then the payload."""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

HEADER = struct.Struct("<II")


class Frames(NamedTuple):
    """``lost_bytes`` counts what follows the last good frame."""

    payloads: list[bytes]
    lost_bytes: int


def frame(payload: bytes) -> bytes:
    """``payload`` (not empty) ready to append."""
    return HEADER.pack(len(payload), crc32(payload)) + payload


def read_frames(content: bytes) -> Frames:
    """Payloads up to the first frame that is torn, zeroed or changed; nothing after it can be trusted."""
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
