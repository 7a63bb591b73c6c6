"""Embed a text as the mean of static token vectors, from the files that the ``wordllama`` package carries (MIT).

The package itself is never imported: it would configure logging and import a client of a model hub. Nothing here
opens a connection.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from models.categories.features import cut

__all__ = ["DIMENSIONS", "EmbeddingMissing", "TextEmbedder", "embedder"]

DIMENSIONS = 256
WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class EmbeddingMissing(RuntimeError):
    """Say why the token vectors cannot be read."""


class TextEmbedder:
    """Hold 32,000 vectors in 16 bits, 16 MB. ``version`` is the hash of their file. Threads may share it."""

    def __init__(self) -> None:
        spec = find_spec("wordllama")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddingMissing("the package wordllama, which carries the token vectors, is not installed")
        folder = Path(spec.submodule_search_locations[0])
        try:
            content = (folder / WEIGHTS).read_bytes()
            (vectors,) = load_file(folder / WEIGHTS).values()
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:
            raise EmbeddingMissing(f"the token vectors cannot be read: {error}") from error
        if vectors.ndim != 2 or vectors.shape[1] != DIMENSIONS:
            raise EmbeddingMissing(f"the token vectors have the shape {vectors.shape}")
        self._vectors = vectors.astype(np.float16)
        self.version = hashlib.sha256(content).hexdigest()[:16]

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the normalised mean vector of the ``cut`` text, zeros for one without tokens."""
        # Half a surrogate pair is legal in JSON; the tokenizer refuses it.
        readable = cut(text).encode(errors="replace").decode()
        tokens = np.array(self._tokenizer.encode(readable, add_special_tokens=False).ids, dtype=np.int64)
        if not len(tokens):
            return np.zeros(DIMENSIONS, np.float32)
        mean = self._vectors[np.minimum(tokens, len(self._vectors) - 1)].astype(np.float32).mean(axis=0)
        return np.asarray(mean / (np.linalg.norm(mean) or 1.0), dtype=np.float32)


@cache
def embedder() -> TextEmbedder:
    """Return the process's embedder, loaded at the first call. Raises ``EmbeddingMissing``."""
    return TextEmbedder()
