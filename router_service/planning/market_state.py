"""What a decision is made from besides the request: the market as it was measured at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from data.catalogue.types import Endpoint
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.utility import UtilityWeights
from router_service.core.preferences import Percentiles
from router_service.health.live_statistics import ObservedViews
from router_service.planning.eligibility import RequestProfile

NOT_MEASURED = Percentiles()


class EndpointMeasurement(NamedTuple):
    """One endpoint lately. Zero counts and empty percentiles are "not measured", never "measured as zero".

    ``latency`` is seconds to the first token and ``throughput`` output tokens a second with that wait
    included, both over 5 minutes. Counts are over 30 minutes, those of tool calls over 2 hours:
    ``errors`` are the endpoint's own by the reference's uptime rule, ``rate_limited`` answers stand
    apart from ``requests``, ``wait_s`` is the mean of the waits that they asked for, ``tool_requests`` ended with
    tool calls and ``malformed`` of them held at least one malformed call. Tokens are those of ``answers``.
    """

    latency: Percentiles = NOT_MEASURED
    throughput: Percentiles = NOT_MEASURED
    requests: int = 0
    errors: int = 0
    rate_limited: int = 0
    wait_s: float = 0.0
    tool_requests: int = 0
    malformed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    answers: int = 0


UNMEASURED = EndpointMeasurement()


class SelectionPolicy(Protocol):
    """What a plan needs of a learned policy."""

    version: str

    def weigh(
        self, profile: RequestProfile, endpoints: Sequence[Endpoint], views: EndpointViews | None, wish: UtilityWeights
    ) -> list[float]:
        """Probability of each endpoint, summing to 1; ``views`` are what was seen of each."""


class MarketState(NamedTuple):
    """A snapshot: equal states give equal plans.

    ``outages`` had one in the last 30 s, ``ejected`` are left alone by the breaker, ``limited`` would answer 429.
    ``strategy`` is what a request gets that names none, ``auto_exacto`` whether requests with tools then
    keep to endpoints whose tool calls are good. ``distances`` are those that are not 1, by endpoint and client region.
    ``named`` says that ``strategy`` is the key's. ``seen`` and ``wish``, what a request minds that does not say, are
    for the learned policy.
    """

    catalogue_version: str
    health_epoch: int
    outages: frozenset[str]
    learned: SelectionPolicy | None = None
    learned_share: float = 0.0
    measures: Mapping[str, EndpointMeasurement] = {}
    strategy: str = "price"
    auto_exacto: bool = True
    ejected: frozenset[str] = frozenset()
    limited: frozenset[str] = frozenset()
    distances: Mapping[tuple[str, str | None], float] = {}
    named: bool = False
    seen: ObservedViews | None = None
    wish: UtilityWeights = UtilityWeights()

    def distance(self, endpoint: str, client_region: str | None) -> float:
        """What multiplies the endpoint's TTFT when the client is there; 1 where nothing is known."""
        return self.distances.get((endpoint, client_region), 1.0)
