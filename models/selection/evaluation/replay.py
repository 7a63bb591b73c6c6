"""Replay logged choices: the probabilities that an artifact would have given each candidate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.dataset.replay_set import ReplaySet
from models.selection.decision.arrays import Floats
from models.selection.decision.policy import LearnedPolicy


class ReplayedPolicies(NamedTuple):
    """``target`` and ``now``, (n, k): what a challenger and what serves would have given each candidate."""

    found: ReplaySet
    target: Floats
    now: Floats


def replay_probabilities(policy: LearnedPolicy, found: ReplaySet) -> Floats:
    """What ``policy``, serving then, would have given each logged candidate, (n, k). Raises ``PolicyError``."""
    target = np.zeros_like(found.decisions.logged)
    for place, (context, candidates) in enumerate(zip(found.contexts, found.candidates, strict=True)):
        target[place, : len(candidates)] = policy.probabilities(context, candidates, found.seen(place))
    return target


def replay_policies(candidate: LearnedPolicy, champion: LearnedPolicy | None, found: ReplaySet) -> ReplayedPolicies:
    """``candidate`` beside the champion, or beside the log's own policy while the rules serve."""
    now = found.decisions.logged if champion is None else replay_probabilities(champion, found)
    return ReplayedPolicies(found, replay_probabilities(candidate, found), now)
