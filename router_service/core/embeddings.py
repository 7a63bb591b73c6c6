"""Define a request for embeddings and its result, apart from how a client wrote it and how a provider wants it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from router_service.core.parts import Media, Text

# One input: a text, the tokens of a text, or parts that make one vector together.
EmbeddingInput = str | list[int] | list[Text | Media]
Vector = NDArray[np.floating[Any]]


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a vector of each of ``inputs``, which are all of the same kind.

    ``dimensions`` is the length of the vectors, where the model lets it be chosen. ``input_type`` says what the vectors
    are for, such as ``search_query``. ``extras`` are top-level fields that the middle does not know, as JSON.
    """

    inputs: list[EmbeddingInput]
    dimensions: int | None = None
    input_type: str | None = None
    user: str | None = None
    extras: dict[str, msgspec.Raw] = {}


class EmbeddingsResult(msgspec.Struct, frozen=True):
    """Hold one vector for each input, in their order: 32-bit floats where the provider sent bytes, else 64-bit."""

    vectors: list[Vector]
