"""Export a learned model as an artifact: ``policy.json``, and one ONNX graph for all trees."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.lake import Lake
from data.storage.local import fsync_folder
from models.selection.decision import predictor
from models.selection.decision.artifact import ARTIFACT_SCHEMA, PARITY_TOLERANCE, TREES_FILE, onnx_session, signature
from models.selection.decision.features import FEATURES
from models.selection.decision.output_length import lengths_to_json
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.priors import priors_to_json
from models.selection.training.learning import LearnedModel

# Name of the graph's only output.
OUTPUT = "trees"
# Rows that exported trees are compared with their learners on.
PARITY_ROWS = 1000


def export(lake: Lake, version: str, learned: LearnedModel) -> Path:
    """Write the folder of an artifact and return it.

    Raises ``RuntimeError`` if the artifact does not predict as the learners do.
    """
    files = {TREES_FILE: onnx_graph(learned.trees())} if learned.trees() else {}
    header = {
        "schema": ARTIFACT_SCHEMA,
        "version": version,
        "features": [{"name": name, "unit": unit, "source": source} for name, unit, source in FEATURES],
        "quantities": predictor.models_to_json(learned.models()),
        "levels": priors_to_json(learned.priors),
        "output_lengths": lengths_to_json(learned.lengths),
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
    """Write ``policy.json`` with its signature."""
    plain = json.loads(json.dumps(header))
    (folder / "policy.json").write_text(json.dumps(plain | {"signature": signature(plain)}, indent=1))


def onnx_graph(learners: dict[str, Any]) -> bytes:
    """Join the learners to one graph with a column of its output for each, so that a decision runs one session."""
    # Imported here: each refresh imports this module, and few export anything.
    import onnx
    from skl2onnx import to_onnx

    parts = []
    for name, learner in learners.items():
        options = {"zipmap": False} if hasattr(learner, "predict_proba") else None
        single = np.zeros((1, len(FEATURES)), dtype=np.float32)
        part = onnx.compose.add_prefix(to_onnx(learner, single, options=options), f"{name}_", rename_inputs=False)
        parts.append(part)
    first = parts[0]
    nodes = [node for part in parts for node in part.graph.node]
    constants = [constant for part in parts for constant in part.graph.initializer]
    # A classifier has two columns, the complement of a share and the share itself.
    widths = [part.graph.output[-1].type.tensor_type.shape.dim[-1].dim_value for part in parts]
    last = onnx.numpy_helper.from_array(np.cumsum(widths) - 1, "last")
    outputs = [part.graph.output[-1].name for part in parts]
    nodes.append(onnx.helper.make_node("Concat", outputs, ["together"], axis=1))
    nodes.append(onnx.helper.make_node("Gather", ["together", "last"], [OUTPUT], axis=1))
    output = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [None, len(parts)])
    graph = onnx.helper.make_graph(nodes, "trees", [first.graph.input[0]], [output], [*constants, last])
    model = onnx.helper.make_model(graph, opset_imports=_opsets(parts), ir_version=first.ir_version)
    content: bytes = model.SerializeToString()
    return content


def parity(learned: LearnedModel, files: dict[str, bytes]) -> float:
    """Return the largest difference between served and learned predictions.

    Raises ``RuntimeError`` if it exceeds ``PARITY_TOLERANCE``.
    """
    rows: NDArray[np.float64] = learned.rows[-PARITY_ROWS:]
    expected = np.column_stack([chosen.fitted.predict(rows) for chosen in learned.choices])
    trees = onnx_session(files[TREES_FILE]) if files else None
    served = predictor.Predictor(learned.models(), trees).predict(rows)
    differences = np.abs(served - _without_crossings(expected)).max(axis=0)
    for quantity, difference in zip(predictor.PREDICTED_QUANTITIES, differences.tolist(), strict=True):
        if not difference <= PARITY_TOLERANCE:
            raise RuntimeError(f"{quantity.name} differs from its learner by {difference:.2g}; nothing was registered")
    return float(differences.max())


def _without_crossings(predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    predictions = predictions.copy()
    predictions[:, : predictor.TTFT_Q50] = np.clip(predictions[:, : predictor.TTFT_Q50], 0.0, 1.0)
    for place, quantity in enumerate(predictor.PREDICTED_QUANTITIES):
        if quantity.pair is not None and quantity.quantile is not None:
            bound = np.maximum if quantity.quantile > 0.5 else np.minimum
            predictions[:, place] = bound(predictions[:, place], predictions[:, quantity.pair])
    return predictions


def _opsets(parts: list[Any]) -> list[Any]:
    from onnx.helper import make_opsetid

    newest: dict[str, int] = {}
    for part in parts:
        for opset in part.opset_import:
            newest[opset.domain] = max(newest.get(opset.domain, 0), opset.version)
    return [make_opsetid(domain, version) for domain, version in newest.items()]
