"""Which artifacts go: all that are out of service but the predecessor of who serves and the last few."""

from __future__ import annotations

import shutil
import time

from data.lake import Lake
from data.policies import read_serving, read_state
from models.selection.lifecycle.registry import ENDED, Registry

# No training takes this long: what lies there unregistered was left by one that died.
ABANDONED_S = 3600.0


def prune(lake: Lake, kept: int, who: str) -> list[str]:
    """Remove artifacts, and folders that no registry knows; returns the versions that were pruned."""
    registry = Registry(lake, who)
    champion = registry.serving.champion
    spared = {registry.get(champion).predecessor} if champion else set()
    ended = [state for state in registry.states() if state.state in ENDED and state.version not in spared]
    # By the last step rather than by age: what was champion yesterday is worth more than yesterday's refusals.
    ended.sort(key=lambda state: state.since, reverse=True)
    gone = [state.version for state in ended[kept:] if not state.pruned]
    for version in gone:
        registry.prune(version, f"out of service, and not among the last {kept}")
    _remove_abandoned(lake)
    return gone


def _remove_abandoned(lake: Lake) -> None:
    serving = read_serving(lake).versions()
    for folder in lake.policies.iterdir():
        if not folder.is_dir() or folder.name in serving or read_state(lake, folder.name) is not None:
            continue
        if folder.stat().st_mtime < time.time() - ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
