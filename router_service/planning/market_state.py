"""Define the state of the market at one moment: the inputs of a plan besides the request."""

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
    """Hold recent measurements of one endpoint. Zero counts and empty percentiles mean "not measured", never "zero".

    ``latency`` is TTFT in seconds and ``throughput`` output tokens per second with TTFT included, both over 5 minutes.
    Counts are over 30 minutes, those of tool calls over 2 hours. ``errors`` are the endpoint's own by the reference's
    uptime rule. ``rate_limited`` responses are not part of ``requests``; ``retry_after_s`` is the mean of their
    Retry-After in seconds. ``tool_requests`` ended with tool calls, and ``malformed`` of them contained at least one
    malformed call. Tokens are those of ``answers`` responses.
    """

    latency: Percentiles = NOT_MEASURED
    throughput: Percentiles = NOT_MEASURED
    requests: int = 0
    errors: int = 0
    rate_limited: int = 0
    retry_after_s: float = 0.0
    tool_requests: int = 0
    malformed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    answers: int = 0


UNMEASURED = EndpointMeasurement()


class SelectionPolicy(Protocol):
    """Define what a plan needs of a learned policy."""

    version: str

    def weigh(
        self,
        profile: RequestProfile,
        endpoints: Sequence[Endpoint],
        views: EndpointViews | None,
        weights: UtilityWeights,
    ) -> list[float]:
        """Return the probability of each endpoint, summing to 1; ``views`` are the live observations of each."""


class MarketState(NamedTuple):
    """Hold a snapshot of the market: equal states give equal plans.

    ``outages`` are endpoints with an outage in the last 30 s, ``ejected`` those that the breaker has ejected,
    ``limited`` those that would respond 429. ``strategy`` is the default for a request that names none; ``named`` is
    true if the key set it. With ``auto_exacto`` requests with tools prefer endpoints whose tool calls are good.
    ``distances`` are the factors other than 1, by endpoint and client region. ``observed`` and the default ``weights``
    are inputs of the learned policy, which gets ``learned_share`` of the traffic.
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
    observed: ObservedViews | None = None
    weights: UtilityWeights = UtilityWeights()

    def distance(self, endpoint: str, client_region: str | None) -> float:
        """Return the factor on the endpoint's TTFT for a client in that region, 1 if it is not known."""
        return self.distances.get((endpoint, client_region), 1.0)
