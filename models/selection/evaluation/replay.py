"""Replay logged choices: the probabilities that an artifact would have given each candidate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.dataset.replay_set import Choices
from models.selection.decision.arrays import Floats
from models.selection.decision.policy import LearnedPolicy


class Replayed(NamedTuple):
    """``target`` and ``now``, (n, k): what a challenger and what serves would have given each candidate."""

    found: Choices
    target: Floats
    now: Floats


def probabilities(policy: LearnedPolicy, found: Choices) -> Floats:
    """What ``policy``, serving then, would have given each logged candidate, (n, k). Raises ``PolicyError``."""
    target = np.zeros_like(found.decisions.logged)
    for place, (context, candidates) in enumerate(zip(found.contexts, found.candidates, strict=True)):
        target[place, : len(candidates)] = policy.probabilities(context, candidates, found.seen(place))
    return target


def replayed(candidate: LearnedPolicy, champion: LearnedPolicy | None, found: Choices) -> Replayed:
    """``candidate`` beside the champion, or beside the log's own policy while the rules serve."""
    now = found.decisions.logged if champion is None else probabilities(champion, found)
    return Replayed(found, probabilities(candidate, found), now)
