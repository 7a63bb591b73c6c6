"""A learned artifact: a folder of ``policy.json``, and ONNX where it has trees → estimates.

Nothing here imports scikit-learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from models.selection.decision import output_length, predictor
from models.selection.decision import priors as past
from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURES, CandidateEndpoint, RequestContext, feature_matrix, prior_rows
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.predictor import Predictor
from models.selection.decision.priors import PriorHierarchy, ShrunkPrior

ARTIFACT_SCHEMA = 3
# How far the exported trees may be from the learners that were judged.
PARITY_TOLERANCE = 1e-4
TREES_FILE = "boosted.onnx"
_MALFORMED, _PROMPT_PRICE = ShrunkPrior._fields.index("malformed"), ShrunkPrior._fields.index("prompt_price")
# A second is e^0: no wait and no pace that anyone measured lies beyond e^±12.
_BOUND = 12.0


class PolicyError(Exception):
    """The artifact cannot be trusted; the message says why."""


class AttemptEstimate(NamedTuple):
    """Of a first attempt. Shares in [0, 1]; ``success`` is of the attempts that are not answered 429.

    ``ttft_s`` of an answer that is not streamed is the whole answer's time; throughput is always that of streams.
    ``ttft_q90_s`` is reached or undercut by 90 % of the answers, ``tokens_per_s_q10`` reached by 90 %;
    ``output_tokens`` is the expected length of the answer. ``prompt_price`` is what the prompt was charged over its
    estimated tokens at list price: caches, and how each provider counts tokens.
    """

    success: float
    limited: float
    ttft_s: float
    ttft_q90_s: float
    tokens_per_s: float
    tokens_per_s_q10: float
    output_tokens: float
    malformed: float = 0.0
    prompt_price: float = 1.0


class Artifact:
    """A loaded artifact."""

    def __init__(
        self,
        version: str,
        metrics: dict[str, Any],
        levels: PriorHierarchy,
        lengths: OutputLengths,
        predict: Predictor,
    ) -> None:
        self.version = version
        self.metrics = metrics
        self.levels = levels
        self.lengths = lengths
        self.predictor = predict

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Check the sha256 of every file and of the header itself, schema and features, and try one estimate.

        Raises ``PolicyError``.
        """
        try:
            header = json.loads((folder / "policy.json").read_bytes())
            _check_header(header)
            rules = predictor.from_json(header["quantities"])
            boosted = any(rule.boosted for rule in rules)
            artifact = cls(
                header["version"],
                header["metrics"],
                past.from_json(header["levels"]),
                output_length.from_json(header["output_lengths"]),
                Predictor(rules, _session(folder / TREES_FILE, header["sha256"][TREES_FILE]) if boosted else None),
            )
            artifact.estimates(RequestContext(100, None, True, False, 12), [CandidateEndpoint("dry:run", "dry", 1, 1)])
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"{folder.name} cannot be read: {error}") from error
        return artifact

    def with_levels(self, levels: PriorHierarchy) -> Artifact:
        """The same models over other endpoints."""
        return Artifact(self.version, self.metrics, levels, self.lengths, self.predictor)

    def estimates(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], views: EndpointViews | None = None
    ) -> list[AttemptEstimate]:
        """One estimate per candidate; ``views`` is what has been seen of each up to now, in the same order
        (``Observed.views``). Raises ``PolicyError`` when a model gives nonsense.
        """
        level = prior_rows((context,), candidates, self.levels)
        found = self.predicted(self.rows(context, candidates, level, views))
        logs = found[:, predictor.TTFT_Q50 :]
        np.exp(logs, out=logs)
        failure, limited, ttft, ttft_q90, pace, pace_q10 = found.T.tolist()
        columns = (
            [1.0 - share for share in failure],
            limited,
            ttft,
            ttft_q90,
            pace,
            pace_q10,
            repeat(self.output_tokens(context)),
            level[:, _MALFORMED].tolist(),
            level[:, _PROMPT_PRICE].tolist(),
        )
        return list(map(AttemptEstimate._make, zip(*columns, strict=False)))

    def output_tokens(self, context: RequestContext) -> float:
        """Expected length of the answer."""
        return self.lengths.expected(context.model, context.category, context.max_tokens)

    def rows(
        self,
        context: RequestContext,
        candidates: Sequence[CandidateEndpoint],
        level: Floats,
        views: EndpointViews | None = None,
        unseen: Floats | None = None,
    ) -> Floats:
        """Features, (n, ``FEATURES``); ``level`` and ``unseen`` as in ``vectorise``."""
        seen = EndpointViews.unseen(len(candidates)) if views is None else views
        return feature_matrix((context,), candidates, seen, self.levels, self.lengths, level, unseen)

    def predicted(self, rows: Floats) -> Floats:
        """(n, ``predictor.PREDICTED_QUANTITIES``) of (n, ``FEATURES``): shares, and logarithms as they are.

        Raises ``PolicyError`` when a model gives nonsense.
        """
        try:
            found = self.predictor.predict(rows)
        except Exception as error:
            raise PolicyError(f"a model of policy {self.version} cannot be run: {error}") from error
        if not np.isfinite(found).all():
            raise PolicyError(f"policy {self.version} gave an estimate that is no number")
        logs = found[:, predictor.TTFT_Q50 :]
        np.minimum(np.maximum(logs, -_BOUND, out=logs), _BOUND, out=logs)
        return found


def signature(header: Mapping[str, Any]) -> str:
    """sha256 of everything in ``policy.json`` but this signature itself."""
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
    """Trees ready to run, on one thread: a decision is too small to share."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
