"""What was learned → the folder of an artifact: ``policy.json``, and one ONNX graph for all trees there are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import to_onnx

from data.lake import Lake, fsync_folder
from models.selection.decision import output_length, predictor
from models.selection.decision import priors as past
from models.selection.decision.artifact import ARTIFACT_SCHEMA, PARITY_TOLERANCE, TREES_FILE, onnx_session, signature
from models.selection.decision.features import FEATURES
from models.selection.decision.policy import LearnedPolicy
from models.selection.training.learning import LearnedModel

# Name of the graph's only output.
OUTPUT = "trees"
# Rows that exported trees are compared with their learners on.
COMPARED = 1000


def export(lake: Lake, version: str, learned: LearnedModel) -> Path:
    """The finished folder. Raises ``RuntimeError`` where what is exported is not what was learned."""
    files = {TREES_FILE: onnx_graph(learned.trees())} if learned.trees() else {}
    header = {
        "schema": ARTIFACT_SCHEMA,
        "version": version,
        "features": [{"name": name, "unit": unit, "source": source} for name, unit, source in FEATURES],
        "quantities": predictor.to_json(learned.rules()),
        "levels": past.to_json(learned.levels),
        "output_lengths": output_length.to_json(learned.lengths),
        "metrics": {"parity": parity(learned, files)},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    temporary = lake.policies / f"{version}.tmp"
    temporary.mkdir(parents=True)
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        write_header(temporary, header)
        LearnedPolicy.load(temporary)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    target = lake.policies / version
    os.replace(temporary, target)
    fsync_folder(lake.policies)
    return target


def write_header(folder: Path, header: dict[str, Any]) -> None:
    """``policy.json``, signed."""
    plain = json.loads(json.dumps(header))
    (folder / "policy.json").write_text(json.dumps(plain | {"signature": signature(plain)}, indent=1))


def onnx_graph(learners: dict[str, Any]) -> bytes:
    """One graph with a column of its output for each learner, so that a decision runs one session."""
    parts = []
    for name, learner in learners.items():
        options = {"zipmap": False} if hasattr(learner, "predict_proba") else None
        single = np.zeros((1, len(FEATURES)), dtype=np.float32)
        part = onnx.compose.add_prefix(to_onnx(learner, single, options=options), f"{name}_", rename_inputs=False)
        parts.append(part)
    first = parts[0]
    nodes = [node for part in parts for node in part.graph.node]
    constants = [constant for part in parts for constant in part.graph.initializer]
    # Of a share there are two columns, its complement and itself.
    widths = [part.graph.output[-1].type.tensor_type.shape.dim[-1].dim_value for part in parts]
    last = onnx.numpy_helper.from_array(np.cumsum(widths) - 1, "last")
    together = [part.graph.output[-1].name for part in parts]
    nodes.append(onnx.helper.make_node("Concat", together, ["together"], axis=1))
    nodes.append(onnx.helper.make_node("Gather", ["together", "last"], [OUTPUT], axis=1))
    output = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [None, len(parts)])
    made = onnx.helper.make_graph(nodes, "trees", [first.graph.input[0]], [output], [*constants, last])
    model = onnx.helper.make_model(made, opset_imports=_opsets(parts), ir_version=first.ir_version)
    content: bytes = model.SerializeToString()
    return content


def parity(learned: LearnedModel, files: dict[str, bytes]) -> float:
    """The largest difference between what will be served and what was learned. Raises ``RuntimeError``."""
    rows: NDArray[np.float64] = learned.rows[-COMPARED:]
    expected = np.column_stack([chosen.fitted.predict(rows) for chosen in learned.choices])
    trees = onnx_session(files[TREES_FILE]) if files else None
    got = predictor.Predictor(learned.rules(), trees).predict(rows)
    worst = np.abs(got - _uncrossed(expected)).max(axis=0)
    for quantity, difference in zip(predictor.PREDICTED_QUANTITIES, worst.tolist(), strict=True):
        if not difference <= PARITY_TOLERANCE:
            raise RuntimeError(f"{quantity.name} differs from its learner by {difference:.2g}; nothing was registered")
    return float(worst.max())


def _uncrossed(found: NDArray[np.float64]) -> NDArray[np.float64]:
    found = found.copy()
    found[:, : predictor.TTFT_Q50] = np.clip(found[:, : predictor.TTFT_Q50], 0.0, 1.0)
    for place, quantity in enumerate(predictor.PREDICTED_QUANTITIES):
        if quantity.pair is not None and quantity.quantile is not None:
            bound = np.maximum if quantity.quantile > 0.5 else np.minimum
            found[:, place] = bound(found[:, place], found[:, quantity.pair])
    return found


def _opsets(parts: list[Any]) -> list[Any]:
    newest: dict[str, int] = {}
    for part in parts:
        for opset in part.opset_import:
            newest[opset.domain] = max(newest.get(opset.domain, 0), opset.version)
    return [onnx.helper.make_opsetid(domain, version) for domain, version in newest.items()]
