"""The learned policy in the router: noticed, checked, swapped in without a restart, abandoned on any doubt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from data.catalogue.types import Endpoint
from data.lake import Lake
from models.selection.policy import Candidate, Context, LearnedPolicy, PolicyError
from router_service.routing.candidates import Ask

logger = logging.getLogger(__name__)


class ServedPolicy:
    """A loaded artifact behind the interface that a plan needs."""

    def __init__(self, policy: LearnedPolicy) -> None:
        self._policy = policy
        self.version = policy.version

    def weigh(self, ask: Ask, endpoints: Sequence[Endpoint]) -> list[float]:
        """Probabilities over ``endpoints``, summing to 1. Raises ``PolicyError``."""
        candidates = [Candidate(e.id, e.provider, e.price.prompt, e.price.completion) for e in endpoints if e.price]
        context = Context(ask.prompt_tokens, ask.max_tokens, ask.stream, ask.tools, ask.hour)
        return self._policy.probabilities(context, candidates)


class PolicyStore:
    """Follows the lake's policy pointer. ``failures`` counts artifacts and decisions that were given up."""

    def __init__(self, lake: Lake, interval: float = 2.0) -> None:
        self._lake = lake
        self._interval = interval
        self._seen: Path | None = None
        self.current: ServedPolicy | None = None
        self.failures = 0

    def poll(self) -> None:
        """Load the published policy if it is another one than before."""
        folder = self._lake.current_policy()
        if folder == self._seen:
            return
        self._seen = folder
        if folder is None:
            self.current = None
            return
        try:
            self.current = ServedPolicy(LearnedPolicy.load(folder))
            logger.info("serving selection policy %s", self.current.version)
        except PolicyError as error:
            self.give_up(f"artifact {folder.name} refused: {error}")

    def give_up(self, reason: str) -> None:
        """Fall back to the rules until another policy is published."""
        self.failures += 1
        self.current = None
        logger.warning("selection policy abandoned, serving price shares: %s", reason)

    async def watch(self) -> None:
        """Poll for ever; run as a task."""
        while True:
            await asyncio.to_thread(self.poll)
            await asyncio.sleep(self._interval)
