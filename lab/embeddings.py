"""Make vectors that a text alone decides: the same text has the same unit vector in every run and at every provider."""

from __future__ import annotations

import base64
import math
import random
import struct
from collections.abc import Sequence


def unit_vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 whose direction depends on ``text``, and is one for each number of dimensions."""
    dice = random.Random(f"{dimensions}/{text}")
    drawn = [dice.gauss(0, 1) for _ in range(dimensions)]
    norm = math.sqrt(sum(one * one for one in drawn))
    return [as_float32(one / norm) for one in drawn]


def as_float32(number: float) -> float:
    """Return ``number`` as a 32-bit float holds it."""
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded


def packed(vector: Sequence[float]) -> str:
    """Return base64 of little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def as_int8(vector: Sequence[float]) -> list[int]:
    """Return a vector in steps of a 127th."""
    return [max(-128, min(127, round(one * 127))) for one in vector]


def as_uint8(vector: Sequence[float]) -> list[int]:
    """Return a vector in the same steps, from 0 to 255."""
    return [one + 128 for one in as_int8(vector)]


def as_bits(vector: Sequence[float]) -> list[int]:
    """Return the signs of a vector, eight in a number from -128 to 127."""
    signs = [int(one > 0) for one in vector]
    return [int("".join(map(str, signs[at : at + 8])), 2) - 128 for at in range(0, len(signs), 8)]


def as_unsigned_bits(vector: Sequence[float]) -> list[int]:
    """Return the signs of a vector, eight in a number from 0 to 255."""
    return [one + 128 for one in as_bits(vector)]
