"""Classify prompts by a linear model that needs numpy alone."""

from __future__ import annotations

import hashlib
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.categories.features import BUCKETS, SETTINGS, counts
from models.categories.taxonomy import CATEGORIES
from models.categories.text import prompt_text

__all__ = ["SCHEMA", "Classifier", "ClassifierInvalid", "Label", "prompt_text"]

SCHEMA = 1
CLASSES = (*CATEGORIES, "none")
SHAPES = {
    "rarity": (BUCKETS,),
    "weights": (BUCKETS, len(CLASSES)),
    "scales": (len(CLASSES),),
    "intercepts": (len(CLASSES),),
}


class ClassifierInvalid(ValueError):
    """Say why the weights cannot be trusted."""


class Label(NamedTuple):
    """Hold one of ``CATEGORIES``, and the probability between 0 and 1 that the classifier gives it."""

    category: str
    confidence: float


class Classifier:
    """Classify with loaded weights of about 0.6 MB. Safe to share between threads."""

    def __init__(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.header = header
        self._weights = arrays["weights"]
        self._rarity = arrays["rarity"]
        # The temperature divides every logit: dividing the parameters once is enough.
        self._scales = arrays["scales"] / header["temperature"]
        self._intercepts = arrays["intercepts"] / header["temperature"]

    @classmethod
    def load(cls, folder: Path | None = None) -> Classifier:
        """Load ``weights.json`` and ``weights.npz`` of a folder, by default those that the package ships.

        Raises ``ClassifierInvalid`` if they are missing, were altered or fit other features or categories.
        """
        source = files("models.categories") if folder is None else folder
        try:
            header = json.loads((source / "weights.json").read_bytes())
            content = (source / "weights.npz").read_bytes()
            _check(header, content)
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in SHAPES}
            shapes = {name: array.shape for name, array in arrays.items()}
            if shapes != SHAPES:
                raise ClassifierInvalid(f"weights.npz has the shapes {shapes}")
            return cls(header, arrays)
        except ClassifierInvalid:
            raise
        except Exception as error:
            raise ClassifierInvalid(f"the weights cannot be read: {error}") from error

    def classify(self, text: str) -> Label:
        """Return the most likely category of a prompt, of which the first 2000 and last 500 characters are read.

        A prompt of stop words alone gets ``Label("programming", 0.0)``: the first category at the lowest confidence.
        """
        found = counts(text)
        if not found:
            return Label(CATEGORIES[0], 0.0)
        chances = self._probabilities(found)[: len(CATEGORIES)]
        best = int(chances.argmax())
        return Label(CATEGORIES[best], float(chances[best]))

    def probabilities(self, text: str) -> dict[str, float]:
        """Return the probabilities of the twelve and of ``none``, a prompt of no category; they sum to 1."""
        chances = self._probabilities(counts(text))
        return dict(zip(CLASSES, map(float, chances), strict=True))

    def _probabilities(self, found: dict[int, int]) -> NDArray[np.float64]:
        buckets = np.fromiter(found.keys(), np.int64, len(found))
        row = (1.0 + np.log(np.fromiter(found.values(), np.float64, len(found)))) * self._rarity[buckets]
        row /= np.linalg.norm(row) or 1.0
        logits = (row @ self._weights[buckets]) * self._scales + self._intercepts
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())


def _check(header: dict[str, Any], content: bytes) -> None:
    if header["schema"] != SCHEMA:
        raise ClassifierInvalid(f"schema {header['schema']} is not {SCHEMA}, which this version knows")
    if hashlib.sha256(content).hexdigest() != header["sha256"]:
        raise ClassifierInvalid("weights.npz does not have the sha256 that weights.json gives")
    if header["features"] != SETTINGS:
        raise ClassifierInvalid(f"the weights were trained on the features {header['features']}, not on {SETTINGS}")
    if tuple(header["classes"]) != CLASSES:
        raise ClassifierInvalid(f"the classes {header['classes']} are not the twelve categories and none")
    if not 0 < header["temperature"] < 100:
        raise ClassifierInvalid(f"the temperature {header['temperature']} is not between 0 and 100")
