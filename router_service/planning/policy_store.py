"""Load learned policies and swap them in without a restart. A policy that fails any check is abandoned.

The champion and the canary are separate arms. The shadow is loaded and tested, so that a broken one is detected before
it serves, but it is scored from the log (``models.selection.dataset.replay_set``) and costs a request nothing.
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
    """Adapt a loaded artifact to the interface that a plan needs."""

    def __init__(self, policy: LearnedPolicy) -> None:
        self._policy = policy
        self.version = policy.version

    def weigh(
        self,
        profile: RequestProfile,
        endpoints: Sequence[Endpoint],
        views: EndpointViews | None = None,
        weights: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        """Return probabilities over ``endpoints``, summing to 1; ``views`` are the live observations of each.

        Raises ``PolicyError`` for any failure.
        """
        prices = [(e, profile.price_of(e.price)) for e in endpoints if e.price]
        candidates = [CandidateEndpoint(e.id, e.provider, price.prompt, price.completion) for e, price in prices]
        try:
            found = self._policy.probabilities(_context(profile, endpoints), candidates, views, weights)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"a decision of policy {self.version} failed: {error!r}") from error
        # The comparisons are false for NaN, so the negated condition catches it, too.
        if not (min(found) >= 0 and abs(sum(found) - 1) < TOLERANCE):
            raise PolicyError(f"policy {self.version} returned figures that are not a probability distribution")
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
    """Give one policy ``weight`` of all traffic, distributed by ``probabilities`` over the endpoints."""

    version: str
    weight: float
    probabilities: list[float]


class ServedPolicies:
    """Combine champion and canary; ``version`` names the mixture, because plans are cached by it."""

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
        weights: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        """Return the probabilities of the champion, or of the canary without one. Raises ``PolicyError``."""
        policy = self._champion or self._canary
        if policy is None:
            raise PolicyError("no policy is served")
        return policy.weigh(profile, endpoints, views, weights)

    def shares(
        self,
        profile: RequestProfile,
        endpoints: Sequence[Endpoint],
        share: float,
        views: EndpointViews | None = None,
        weights: UtilityWeights = UtilityWeights(),
    ) -> list[PolicyShare]:
        """Split ``share``, the learned part of all traffic: the canary gets its own share, the champion the rest.

        A policy that fails is abandoned and left out, and the rules get its part; the other policy keeps its own.
        """
        trial = min(self._share, share) if self._canary else 0.0
        found = []
        for policy, weight in ((self._champion, share - trial), (self._canary, trial)):
            if policy is None or weight <= 0:
                continue
            try:
                found.append(PolicyShare(policy.version, weight, policy.weigh(profile, endpoints, views, weights)))
            except PolicyError as error:
                self._abandon(policy.version, str(error))
        return found


class PolicyStore:
    """Follow the document that names the serving policies; ``failures`` counts abandoned artifacts and decisions."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._serving = ServingAssignment()
        self._loaded: dict[str, ServedPolicy] = {}
        self.current: ServedPolicies | None = None
        self.failures = 0

    def poll(self) -> None:
        """Load the policies that the document names, if it has changed. A rejected artifact leaves its arm out."""
        serving = read_serving(self._lake)
        if serving == self._serving:
            return
        loaded: dict[str, ServedPolicy] = {}
        for version in serving.versions():
            known = self._loaded.get(version) or self._load(version)
            if known is not None:
                loaded[version] = known
        self._serving, self._loaded = serving, loaded
        self.current = self._mixture()
        logger.info("selection policies: %s", self.current.version if self.current else "none, price shares serve")

    def abandon(self, version: str, reason: str) -> None:
        """Stop serving ``version`` until the document changes."""
        self.failures += 1
        self._loaded.pop(version, None)
        self.current = self._mixture()
        logger.warning("selection policy %s abandoned, the others and price shares serve: %s", version, reason)

    def abandon_all(self, reason: str) -> None:
        """Stop serving all learned policies until the document changes."""
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
        serving = self._serving
        champion = self._loaded.get(serving.champion or "")
        canary = self._loaded.get(serving.canary.version) if serving.canary else None
        if champion is None and canary is None:
            return None
        return ServedPolicies(champion, canary, serving.canary.share if serving.canary else 0.0, self.abandon)
