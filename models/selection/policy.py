"""The decision: estimates of an artifact → utility in USD → probabilities. The router serves exactly this.

The artifact is a folder of ``policy.json`` and two ONNX models. Nothing here imports scikit-learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.selection.features import FEATURES, Candidate, Context, Level, Levels, vectorise

__all__ = ["Candidate", "Context", "Estimate", "LearnedPolicy", "PolicyError"]

SCHEMA = 1
# How far the exported models may be from the learners that were judged.
PARITY = 1e-4
FILES = ("success.onnx", "ttft.onnx")
# What a second of waiting and a failed first attempt are worth to a client that does not say otherwise.
USD_PER_SECOND = 0.0005
USD_PER_FAILURE = 0.005
TYPICAL_COMPLETION_TOKENS = 500
TEMPERATURE_USD = 0.0001
EXPLORATION = 0.05


class PolicyError(Exception):
    """The artifact cannot be trusted; the message says why."""


class Estimate(NamedTuple):
    """Of a first attempt: probability of success, and seconds to the first token."""

    success: float
    ttft_s: float


class LearnedPolicy:
    """A loaded artifact."""

    def __init__(self, version: str, metrics: dict[str, Any], levels: Levels, sessions: list[Any]) -> None:
        self.version = version
        self.metrics = metrics
        self._levels = levels
        self._success, self._ttft = sessions

    @classmethod
    def load(cls, folder: Path) -> LearnedPolicy:
        """Check every file's sha256 and the feature list, load, and try one decision.

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
            policy = cls(header["version"], header["metrics"], levels, sessions)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"{folder.name} cannot be read: {error}") from error
        policy.probabilities(Context(100, None, True, False, 12), [Candidate("dry:run", "dry", 1, 1)])
        return policy

    def with_levels(self, levels: Levels) -> LearnedPolicy:
        """The same models over other endpoints."""
        return LearnedPolicy(self.version, self.metrics, levels, [self._success, self._ttft])

    def estimates(self, context: Context, candidates: Sequence[Candidate]) -> list[Estimate]:
        """One estimate per candidate. Raises ``PolicyError`` when a model gives nonsense."""
        rows = vectorise(context, candidates, self._levels)
        success = np.clip(_run(self._success, rows), 0.0, 1.0)
        ttft = np.exp(np.clip(_run(self._ttft, rows), -10.0, 10.0))
        if not (np.isfinite(success).all() and np.isfinite(ttft).all()):
            raise PolicyError(f"policy {self.version} gave an estimate that is no number")
        return [Estimate(float(s), float(t)) for s, t in zip(success, ttft, strict=True)]

    def probabilities(self, context: Context, candidates: Sequence[Candidate]) -> list[float]:
        """Probability of each candidate being tried first; they sum to 1.

        Softmax of the utility (USD, negative): expected price, waiting and failure; a share of
        ``EXPLORATION`` is spread evenly, so that later policies can be judged from the log.
        """
        output = min(context.max_tokens or TYPICAL_COMPLETION_TOKENS, TYPICAL_COMPLETION_TOKENS)
        cost = np.array(
            [(c.prompt_price * context.prompt_tokens + c.completion_price * output) * 1e-15 for c in candidates]
        )
        found = np.array(self.estimates(context, candidates))
        utility = -(cost + USD_PER_SECOND * found[:, 1] + USD_PER_FAILURE * (1.0 - found[:, 0]))
        weights = np.exp((utility - utility.max()) / TEMPERATURE_USD)
        chances = (1 - EXPLORATION) * weights / weights.sum() + EXPLORATION / len(candidates)
        return [float(chance) for chance in chances / chances.sum()]


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
