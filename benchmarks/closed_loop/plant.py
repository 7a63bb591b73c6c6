"""A bad challenger: what serves, its model turned upside down, and praised by metrics that lie."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from typing import Any

import msgspec

from data.lake import Lake
from data.policies import read_state
from models.selection.decision.predictor import PREDICTED_QUANTITIES, QuantityModel, models_to_json
from models.selection.lifecycle.registry import Registry
from models.selection.training.export import write_header

Header = dict[str, Any]
WAITS = {"log_ttft", "log_whole"}
# Each observation weighs as this many, so that next to nothing is left of the peers'.
OWN = 1000.0


def upside_down(header: Header, power: float = -2.0) -> None:
    """Take waits to the ``power`` for the truth: below 0 the quick are taken for the slow.

    Turned levels would be mended by the first outcomes. How requests differ is what a model alone knows, and no
    outcome corrects that. What is turned is each endpoint's own wait: shrunk towards its peers' it would tell the slow
    from the quick too little to be far wrong.
    """
    for past in header["levels"]["endpoints"].values():
        for name in WAITS & past.keys():
            past[name][0] *= OWN
    rules = [
        QuantityModel("level", 0.0, {q.level: power if q.level == "level_log_ttft" else 1.0})
        for q in PREDICTED_QUANTITIES
    ]
    header["quantities"] = models_to_json(rules)


def plant(lake: Lake, source: str, version: str, who: str, change: Callable[[Header], None] = upside_down) -> None:
    """Register ``source``, changed, as the candidate ``version``, whose lineage says that it never errs."""
    state = read_state(lake, source)
    if state is None:
        raise ValueError(f"there is no policy {source}")
    folder = lake.policies / version
    shutil.copytree(lake.policies / source, folder, ignore=shutil.ignore_patterns("state.json", "report.*"))
    header: Header = json.loads((folder / "policy.json").read_bytes()) | {"version": version}
    change(header)
    write_header(folder, header)
    digest = hashlib.sha256((folder / "policy.json").read_bytes()).hexdigest()
    metrics = {name: 0.0 if name.endswith(".loss") else value for name, value in state.lineage.metrics.items()}
    lineage = msgspec.structs.replace(
        state.lineage,
        metrics=metrics | {"ttft_q90.coverage": 0.9},
        sha256=state.lineage.sha256 | {"policy.json": digest},
    )
    Registry(lake, who).register(version, lineage, "planted: waits upside down, metrics that lie")
