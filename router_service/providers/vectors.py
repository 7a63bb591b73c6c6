"""Check the vectors that a provider sends, and read them from either of their encodings."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from router_service.core.embeddings import EmbeddingsRequest, EmbeddingsResult, Vector
from router_service.providers.task_format import unusable

# The longest vectors that any model is known to return have 12,288 numbers.
MAX_DIMENSIONS = 65_536
_FLOAT32 = np.dtype("<f4")
_LARGEST = float(np.finfo(np.float32).max)


def read_vector(found: Any, place: int) -> Vector:
    """Return a vector that was sent as an array of numbers, or as base64 of little-endian 32-bit floats.

    Raises ``ApiError`` 502 for anything else, and for numbers that are not finite as 32-bit floats.
    """
    if isinstance(found, str):
        try:
            packed = base64.b64decode(found, validate=True)
        except ValueError:
            raise unusable("embeddings", f"vector {place} is not valid base64") from None
        if len(packed) % _FLOAT32.itemsize:
            raise unusable("embeddings", f"vector {place} does not consist of 32-bit floats")
        vector: Vector = np.frombuffer(packed, _FLOAT32)
    else:
        vector = _numbers(found, place)
    if not 0 < len(vector) <= MAX_DIMENSIONS:
        raise unusable("embeddings", f"vector {place} has {len(vector)} numbers")
    # A comparison with NaN is false.
    if not bool((np.abs(vector) <= _LARGEST).all()):
        raise unusable("embeddings", f"vector {place} has numbers that are not finite")
    return vector


def _numbers(found: Any, place: int) -> Vector:
    if isinstance(found, list):
        try:
            numbers = np.array(found)
        except ValueError:
            # Some of them are arrays.
            numbers = np.array(None)
        if numbers.ndim == 1 and numbers.dtype.kind in "fi":
            return numbers.astype(np.float64)
    raise unusable("embeddings", f"vector {place} is neither an array of numbers nor base64")


def in_order(vectors: Sequence[tuple[Any, Vector]], asked: EmbeddingsRequest) -> EmbeddingsResult:
    """Return the vectors in the order of the inputs; each comes with its index, or with ``None`` if it has none.

    Raises ``ApiError`` 502 unless every input has exactly one vector, of the length that was asked for.
    """
    count = len(asked.inputs)
    if len(vectors) != count:
        raise unusable("embeddings", f"{count} inputs have {len(vectors)} vectors")
    placed: list[Vector | None] = [None] * count
    for position, (index, vector) in enumerate(vectors):
        at = position if index is None else index
        if type(at) is not int or not 0 <= at < count or placed[at] is not None:
            raise unusable("embeddings", "the vectors have wrong or repeated indices")
        placed[at] = vector
    found = [vector for vector in placed if vector is not None]
    lengths = {len(vector) for vector in found}
    if len(lengths) > 1:
        raise unusable("embeddings", "the vectors are of different lengths")
    if asked.dimensions is not None and lengths != {asked.dimensions}:
        raise unusable("embeddings", f"{asked.dimensions} dimensions were asked for, and {lengths.pop()} came")
    return EmbeddingsResult(found)
