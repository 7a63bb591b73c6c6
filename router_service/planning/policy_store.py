"""Learned policies in the router: noticed, checked, swapped in without a restart, left alone on any doubt.

Champion and canary are arms of their own. The shadow is loaded and tried, so that a broken one is known before it
serves, but scored from the log (``models.selection.dataset.replay_set``): on the way of a request it costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data.catalogue.types import Endpoint
from data.lake import Lake
from data.policies import ServingAssignment, read_serving
from models.selection.decision.artifact import PolicyError
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.utility import UtilityWeights
from router_service.planning.eligibility import RequestProfile

logger = logging.getLogger(__name__)

TOLERANCE = 1e-6


class ServedPolicy:
    """A loaded artifact behind the interface that a plan needs."""

    def __init__(self, policy: LearnedPolicy) -> None:
        self._policy = policy
        self.version = policy.version

    def weigh(
        self,
        profile: RequestProfile,
        endpoints: Sequence[Endpoint],
        views: EndpointViews | None = None,
        wish: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        """Probabilities over ``endpoints``, summing to 1; ``views`` are what was seen of each.

        Raises ``PolicyError``, whatever goes wrong.
        """
        candidates = [
            CandidateEndpoint(e.id, e.provider, e.price.prompt, e.price.completion) for e in endpoints if e.price
        ]
        try:
            found = self._policy.probabilities(_context(profile, endpoints), candidates, views, wish)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"a decision of policy {self.version} failed: {error!r}") from error
        # Of a figure that is no number, neither holds.
        if not (min(found) >= 0 and abs(sum(found) - 1) < TOLERANCE):
            raise PolicyError(f"policy {self.version} gave probabilities that are none")
        return found


def _context(profile: RequestProfile, endpoints: Sequence[Endpoint]) -> RequestContext:
    return RequestContext(
        profile.prompt_tokens,
        profile.planned_limit,
        profile.stream,
        profile.tools,
        profile.hour,
        endpoints[0].model if endpoints else "",
        modality=profile.modality,
        client_region=profile.client_region,
    )


class PolicyShare(NamedTuple):
    """``weight`` of all traffic, spread by ``probabilities`` over the endpoints that were asked about."""

    version: str
    weight: float
    probabilities: list[float]


class ServedPolicies:
    """Champion and canary as one: ``version`` names the mixture, for plans are kept by it."""

    def __init__(
        self,
        champion: ServedPolicy | None,
        canary: ServedPolicy | None,
        share: float,
        abandon: Callable[[str, str], None],
    ) -> None:
        self._champion, self._canary, self._share, self._abandon = champion, canary, share, abandon
        names = [champion.version] if champion else []
        names += [f"{canary.version} for {share:g}"] if canary else []
        self.version = " and ".join(names)

    def weigh(
        self,
        profile: RequestProfile,
        endpoints: Sequence[Endpoint],
        views: EndpointViews | None = None,
        wish: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        """The champion's probabilities, without one the canary's. Raises ``PolicyError``."""
        policy = self._champion or self._canary
        if policy is None:
            raise PolicyError("no policy is served")
        return policy.weigh(profile, endpoints, views, wish)

    def parts(
        self,
        profile: RequestProfile,
        endpoints: Sequence[Endpoint],
        share: float,
        views: EndpointViews | None = None,
        wish: UtilityWeights = UtilityWeights(),
    ) -> list[PolicyShare]:
        """Of the ``share`` of all traffic that is learned the canary has its own, the champion the rest.

        A policy that fails is abandoned and its part left out, for the rules; the other keeps its own.
        """
        trial = min(self._share, share) if self._canary else 0.0
        found = []
        for policy, weight in ((self._champion, share - trial), (self._canary, trial)):
            if policy is None or weight <= 0:
                continue
            try:
                found.append(PolicyShare(policy.version, weight, policy.weigh(profile, endpoints, views, wish)))
            except PolicyError as error:
                self._abandon(policy.version, str(error))
        return found


class PolicyStore:
    """Follows the document of who serves. ``failures`` counts artifacts and decisions that were given up."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._seen = ServingAssignment()
        self._loaded: dict[str, ServedPolicy] = {}
        self.current: ServedPolicies | None = None
        self.failures = 0

    def poll(self) -> None:
        """Load what serves now if it is not what served before. An artifact that is refused leaves its arm out."""
        serving = read_serving(self._lake)
        if serving == self._seen:
            return
        loaded: dict[str, ServedPolicy] = {}
        for version in serving.versions():
            known = self._loaded.get(version) or self._load(version)
            if known is not None:
                loaded[version] = known
        self._seen, self._loaded = serving, loaded
        self.current = self._mixture()
        logger.info("selection policies: %s", self.current.version if self.current else "none, price shares serve")

    def abandon(self, version: str, reason: str) -> None:
        """Go on without ``version`` until another document says who serves."""
        self.failures += 1
        self._loaded.pop(version, None)
        self.current = self._mixture()
        logger.warning("selection policy %s abandoned, the others and price shares serve: %s", version, reason)

    def give_up(self, reason: str) -> None:
        """Fall back to the rules altogether until another document says who serves."""
        self.failures += 1
        self._loaded.clear()
        self.current = None
        logger.warning("selection policies abandoned, serving price shares: %s", reason)

    def _load(self, version: str) -> ServedPolicy | None:
        try:
            return ServedPolicy(LearnedPolicy.load(self._lake.policies / version))
        except PolicyError as error:
            self.failures += 1
            logger.warning("selection policy %s refused, the others and price shares serve: %s", version, error)
            return None

    def _mixture(self) -> ServedPolicies | None:
        serving = self._seen
        champion = self._loaded.get(serving.champion or "")
        canary = self._loaded.get(serving.canary.version) if serving.canary else None
        if champion is None and canary is None:
            return None
        return ServedPolicies(champion, canary, serving.canary.share if serving.canary else 0.0, self.abandon)
