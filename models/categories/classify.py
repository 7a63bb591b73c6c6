"""Label prompts: category and task tag by an ONNX model, natural and programming language by detectors."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.record.prompt_labels import PromptLabels
from models.categories.embedding import embedder
from models.categories.features import SETTINGS, counts
from models.categories.languages import natural_language, programming_language
from models.categories.taxonomy import CATEGORIES, TAGS
from models.categories.text import prompt_text
from models.onnx_runtime import onnxruntime

__all__ = [
    "ENTRY_POINTS", "SCHEMA", "THRESHOLD", "Classifier", "ClassifierInvalid", "PromptClassifier",
    "load_classifier", "prompt_text",
]  # fmt: skip

SCHEMA = 2
CLASSES = (*CATEGORIES, "none")
# Below it a label is unknown, as in the reference's study.
THRESHOLD = 0.5
ENTRY_POINTS = "portolan.classifiers"
MODEL, HEADER = "model.onnx", "model.json"


class ClassifierInvalid(ValueError):
    """Say why a classifier cannot be used."""


class PromptClassifier(Protocol):
    """Label a prompt; an operator's own object with this method may replace ``Classifier``."""

    def label(self, text: str) -> PromptLabels:
        """Return the labels of the text of a prompt."""


class Classifier:
    """Label with a loaded model. Safe to share between threads."""

    def __init__(self, header: dict[str, Any], session: onnxruntime.InferenceSession) -> None:
        self.header = header
        self.version = str(header["version"])
        self._session = session
        self._embedder = embedder()
        if header["embedding"] != self._embedder.version:
            raise ClassifierInvalid(
                "the model was trained on other token vectors than those of the installed wordllama"
            )

    @classmethod
    def load(cls, folder: Path | None = None) -> Classifier:
        """Load ``model.onnx`` and ``model.json`` of a folder, by default those that the package ships.

        Raises ``ClassifierInvalid`` if they are missing, were altered or fit other features or labels.
        """
        source = files("models.categories") if folder is None else folder
        try:
            header = json.loads((source / HEADER).read_bytes())
            content = (source / MODEL).read_bytes()
            _check(header, content)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            return cls(header, session)
        except ClassifierInvalid:
            raise
        except Exception as error:
            raise ClassifierInvalid(f"the model cannot be read: {error}") from error

    def label(self, text: str) -> PromptLabels:
        """Return the labels of a prompt, of which the first 2000 and last 500 characters are read."""
        chances, tags = self.probabilities(text)
        category, tag = int(chances[: len(CATEGORIES)].argmax()), int(tags.argmax())
        language = natural_language(text)
        sure, sure_tag = round(float(chances[category]), 4), round(float(tags[tag]), 4)
        return PromptLabels(
            CATEGORIES[category] if sure >= THRESHOLD else None,
            sure,
            self.version,
            TAGS[tag] if sure_tag >= THRESHOLD else None,
            sure_tag,
            language.code if language and language.confidence >= THRESHOLD else None,
            language.confidence if language else None,
            programming_language(text),
        )

    def probabilities(self, text: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the probabilities of ``CLASSES`` and of ``TAGS``, 0 for a text of stop words alone."""
        found = counts(text)
        if not found:
            return np.zeros(len(CLASSES), np.float32), np.zeros(len(TAGS), np.float32)
        inputs = {
            "buckets": np.fromiter(found.keys(), np.int64, len(found)),
            "frequencies": 1.0 + np.log(np.fromiter(found.values(), np.float32, len(found))),
            "embedding": self._embedder.embed(text),
        }
        chances, tags = self._session.run(["categories", "tags"], inputs)
        return chances, tags


def load_classifier(folder: Path, name: str | None = None) -> PromptClassifier:
    """Return the operator's classifier ``name``, else the one trained in ``folder``, else the one that is shipped.

    ``name`` is an entry point of the group ``ENTRY_POINTS``: a function without parameters that returns a
    ``PromptClassifier``. Raises ``ClassifierInvalid``.
    """
    if name is None:
        return Classifier.load(folder if (folder / HEADER).exists() else None)
    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        raise ClassifierInvalid(f"no installed package has the entry point {name} in the group {ENTRY_POINTS}")
    try:
        made: PromptClassifier = found[0].load()()
    except Exception as error:
        raise ClassifierInvalid(f"the classifier {name} cannot be loaded: {error}") from error
    return made


def _check(header: dict[str, Any], content: bytes) -> None:
    if header["schema"] != SCHEMA:
        raise ClassifierInvalid(f"schema {header['schema']} is not {SCHEMA}, which this version knows")
    if hashlib.sha256(content).hexdigest() != header["sha256"]:
        raise ClassifierInvalid("model.onnx does not have the sha256 that model.json gives")
    if header["features"] != SETTINGS:
        raise ClassifierInvalid(f"the model was trained on the features {header['features']}, not on {SETTINGS}")
    if tuple(header["classes"]) != CLASSES or tuple(header["tags"]) != TAGS:
        raise ClassifierInvalid("the classes of the model are not those of the taxonomy")
