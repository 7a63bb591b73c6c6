"""Load a learned artifact and estimate attempts with it.

An artifact is a folder of ``policy.json`` and, where trees serve, one ONNX file. Nothing here imports scikit-learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.onnx_runtime import onnxruntime as ort
from models.selection.decision import predictor
from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURES, CandidateEndpoint, RequestContext, feature_matrix, prior_rows
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.output_length import OutputLengths, lengths_from_json
from models.selection.decision.predictor import Predictor
from models.selection.decision.priors import PriorHierarchy, ShrunkPrior, priors_from_json

ARTIFACT_SCHEMA = 3
# The exported trees may differ by this much from the learners that were judged.
PARITY_TOLERANCE = 1e-4
TREES_FILE = "boosted.onnx"
_MALFORMED, _PROMPT_PRICE = ShrunkPrior._fields.index("malformed"), ShrunkPrior._fields.index("prompt_price")
# A second is e^0: no measured latency or throughput lies beyond e^±12.
_BOUND = 12.0


class PolicyError(Exception):
    """Say why an artifact cannot be trusted, or gave no usable estimate."""


class AttemptEstimate(NamedTuple):
    """Hold what is expected of a first attempt. Shares lie in [0, 1].

    ``success`` is a share of the attempts that are not answered 429. ``ttft_s`` is the response time where the response
    is not streamed; throughput is always that of streams. 90 % of the responses are no slower than ``ttft_q90_s``, and
    90 % reach ``tokens_per_s_q10``. ``output_tokens`` is the expected length. ``prompt_price`` is what the prompt was
    charged over its estimated tokens at list price: caches and the providers' own ways to count tokens make it differ
    from 1.
    """

    success: float
    rate_limited: float
    ttft_s: float
    ttft_q90_s: float
    tokens_per_s: float
    tokens_per_s_q10: float
    output_tokens: float
    malformed: float = 0.0
    prompt_price: float = 1.0


class Artifact:
    """Hold priors, output lengths and predictor of one version."""

    def __init__(
        self,
        version: str,
        metrics: dict[str, Any],
        priors: PriorHierarchy,
        lengths: OutputLengths,
        predict: Predictor,
    ) -> None:
        self.version = version
        self.metrics = metrics
        self.priors = priors
        self.lengths = lengths
        self.predictor = predict

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Load a folder: check schema, features and every sha256, the header's own included, and try one estimate.

        Raises ``PolicyError``.
        """
        try:
            header = json.loads((folder / "policy.json").read_bytes())
            _check_header(header)
            models = predictor.models_from_json(header["quantities"])
            boosted = any(model.boosted for model in models)
            artifact = cls(
                header["version"],
                header["metrics"],
                priors_from_json(header["levels"]),
                lengths_from_json(header["output_lengths"]),
                Predictor(models, _session(folder / TREES_FILE, header["sha256"][TREES_FILE]) if boosted else None),
            )
            artifact.estimates(RequestContext(100, None, True, False, 12), [CandidateEndpoint("dry:run", "dry", 1, 1)])
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"{folder.name} cannot be read: {error}") from error
        return artifact

    def with_priors(self, priors: PriorHierarchy) -> Artifact:
        """Return the same models over the priors of other endpoints."""
        return Artifact(self.version, self.metrics, priors, self.lengths, self.predictor)

    def estimates(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], views: EndpointViews | None = None
    ) -> list[AttemptEstimate]:
        """Return one estimate per candidate.

        ``views`` holds what has been observed of each candidate up to now, in the same order
        (``LiveObservations.views``). Raises ``PolicyError`` when a model's output is not finite.
        """
        prior = prior_rows((context,), candidates, self.priors)
        predictions = self.predict(self.features(context, candidates, prior, views))
        logarithms = predictions[:, predictor.TTFT_Q50 :]
        np.exp(logarithms, out=logarithms)
        failure, rate_limited, ttft, ttft_q90, throughput, throughput_q10 = predictions.T.tolist()
        columns = (
            [1.0 - share for share in failure],
            rate_limited,
            ttft,
            ttft_q90,
            throughput,
            throughput_q10,
            repeat(self.output_tokens(context)),
            prior[:, _MALFORMED].tolist(),
            prior[:, _PROMPT_PRICE].tolist(),
        )
        return list(map(AttemptEstimate._make, zip(*columns, strict=False)))

    def output_tokens(self, context: RequestContext) -> float:
        """Return the expected length of the response in tokens."""
        return self.lengths.expected(context.model, context.category, context.max_tokens)

    def features(
        self,
        context: RequestContext,
        candidates: Sequence[CandidateEndpoint],
        prior: Floats,
        views: EndpointViews | None = None,
        static: Floats | None = None,
    ) -> Floats:
        """Return features of shape (n, ``FEATURES``); ``prior`` and ``static`` are those of ``feature_matrix``."""
        observed = EndpointViews.unseen(len(candidates)) if views is None else views
        return feature_matrix((context,), candidates, observed, self.priors, self.lengths, prior, static)

    def predict(self, features: Floats) -> Floats:
        """Predict from features (n, ``FEATURES``): shares and logarithms of shape (n, ``PREDICTED_QUANTITIES``).

        Raises ``PolicyError`` when a model's output is not finite.
        """
        try:
            predictions = self.predictor.predict(features)
        except Exception as error:
            raise PolicyError(f"a model of policy {self.version} cannot be run: {error}") from error
        if not np.isfinite(predictions).all():
            raise PolicyError(f"policy {self.version} gave an estimate that is no number")
        logarithms = predictions[:, predictor.TTFT_Q50 :]
        np.minimum(np.maximum(logarithms, -_BOUND, out=logarithms), _BOUND, out=logarithms)
        return predictions


def signature(header: Mapping[str, Any]) -> str:
    """Return the sha256 of everything in ``policy.json`` but this signature itself."""
    rest = {name: value for name, value in header.items() if name != "signature"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _check_header(header: dict[str, Any]) -> None:
    if header["schema"] != ARTIFACT_SCHEMA:
        raise PolicyError(
            f"schema {header['schema']} is not {ARTIFACT_SCHEMA}, which this router knows; train another policy"
        )
    wanted = [name for name, _, _ in FEATURES]
    got = [feature["name"] for feature in header["features"]]
    if got != wanted:
        raise PolicyError(f"features {got} are not {wanted}")
    if header["signature"] != signature(header):
        raise PolicyError("policy.json does not have the sha256 that it was signed with")


def _session(path: Path, sha256: str) -> Any:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PolicyError(f"{path.name} does not have the sha256 that policy.json gives")
    return onnx_session(content)


def onnx_session(content: bytes) -> Any:
    """Load trees to run on one thread: a decision is too small to share among several."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
