"""A learned artifact: a folder of ``policy.json`` and ONNX models → estimates. Nothing here imports scikit-learn."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.selection.estimate import Estimate
from models.selection.features import FEATURES, Candidate, Context, Level, Levels, vectorise
from models.selection.observed import View

SCHEMA = 1
# How far the exported models may be from the learners that were judged.
PARITY = 1e-4
FILES = ("success.onnx", "ttft.onnx")
TYPICAL_COMPLETION_TOKENS = 500


class PolicyError(Exception):
    """The artifact cannot be trusted; the message says why."""


class Artifact:
    """A loaded artifact."""

    def __init__(self, version: str, metrics: dict[str, Any], levels: Levels, sessions: list[Any]) -> None:
        self.version = version
        self.metrics = metrics
        self._levels = levels
        self._success, self._ttft = sessions

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Check every file's sha256 and the feature list, load, and try one estimate.

        Raises ``PolicyError``.
        """
        try:
            header = json.loads((folder / "policy.json").read_bytes())
            _check_header(header)
            sessions = [_session(folder / name, header["sha256"][name]) for name in FILES]
            levels = Levels(
                {k: Level(*v) for k, v in header["levels"]["endpoints"].items()},
                {k: Level(*v) for k, v in header["levels"]["providers"].items()},
                Level(*header["levels"]["market"]),
            )
            artifact = cls(header["version"], header["metrics"], levels, sessions)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"{folder.name} cannot be read: {error}") from error
        artifact.estimates(Context(100, None, True, False, 12), [Candidate("dry:run", "dry", 1, 1)])
        return artifact

    def with_levels(self, levels: Levels) -> Artifact:
        """The same models over other endpoints."""
        return Artifact(self.version, self.metrics, levels, [self._success, self._ttft])

    def estimates(
        self,
        context: Context,
        candidates: Sequence[Candidate],
        views: Sequence[View] | None = None,  # noqa: ARG002
    ) -> list[Estimate]:
        """One estimate per candidate; ``views`` is what has been seen of each up to now, in the same order.

        Raises ``PolicyError`` when a model gives nonsense.
        """
        rows = vectorise(context, candidates, self._levels)
        success = np.clip(_run(self._success, rows), 0.0, 1.0)
        ttft = np.exp(np.clip(_run(self._ttft, rows), -10.0, 10.0))
        if not (np.isfinite(success).all() and np.isfinite(ttft).all()):
            raise PolicyError(f"policy {self.version} gave an estimate that is no number")
        output = float(min(context.max_tokens or TYPICAL_COMPLETION_TOKENS, TYPICAL_COMPLETION_TOKENS))
        return [
            Estimate(float(s), 0.0, float(t), float(t), math.inf, math.inf, output)
            for s, t in zip(success, ttft, strict=True)
        ]


def _check_header(header: dict[str, Any]) -> None:
    if header["schema"] != SCHEMA:
        raise PolicyError(f"schema {header['schema']} is not {SCHEMA}, which this router knows")
    wanted = [name for name, _, _ in FEATURES]
    got = [feature["name"] for feature in header["features"]]
    if got != wanted:
        raise PolicyError(f"features {got} are not {wanted}")


def _session(path: Path, sha256: str) -> Any:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PolicyError(f"{path.name} does not have the sha256 that policy.json gives")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _run(session: Any, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The model's one figure per row: the last column of its last output."""
    try:
        output = np.asarray(session.run(None, {session.get_inputs()[0].name: rows})[-1], dtype=np.float64)
        return output.reshape(len(rows), -1)[:, -1]
    except Exception as error:
        raise PolicyError(f"a model of the policy cannot be run: {error}") from error
