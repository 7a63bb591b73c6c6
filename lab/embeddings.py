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
