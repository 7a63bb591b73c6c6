"""Replay logged choices: the probabilities that an artifact would have given each candidate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.dataset.replay_set import ReplaySet
from models.selection.decision.arrays import Floats
from models.selection.decision.policy import LearnedPolicy


class ReplayedPolicies(NamedTuple):
    """Hold the probabilities (n, k) that two policies would have given.

    ``target`` is the challenger's, ``baseline`` the serving policy's.
    """

    replay_set: ReplaySet
    target: Floats
    baseline: Floats


def replay_probabilities(policy: LearnedPolicy, replay_set: ReplaySet) -> Floats:
    """Return the probability of each logged candidate under ``policy``, (n, k). Raises ``PolicyError``."""
    target = np.zeros_like(replay_set.decisions.logged)
    for place, (context, candidates) in enumerate(zip(replay_set.contexts, replay_set.candidates, strict=True)):
        target[place, : len(candidates)] = policy.probabilities(context, candidates, replay_set.views_of(place))
    return target


def replay_policies(
    candidate: LearnedPolicy, champion: LearnedPolicy | None, replay_set: ReplaySet
) -> ReplayedPolicies:
    """Replay ``candidate`` beside the champion, or beside the log's own policy while the rules serve."""
    baseline = replay_set.decisions.logged if champion is None else replay_probabilities(champion, replay_set)
    return ReplayedPolicies(replay_set, replay_probabilities(candidate, replay_set), baseline)
