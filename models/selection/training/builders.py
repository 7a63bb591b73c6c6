"""Sum up attempts into priors and output lengths that can be built at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from models.selection.dataset.samples import Sample
from models.selection.decision.output_length import Key, OutputLengths, group_keys
from models.selection.decision.priors import PRIOR_QUANTITIES, Moments, NodeMoments, PriorHierarchy


class MomentSums:
    """Sum up the observations of one node of the hierarchy."""

    __slots__ = ("counts", "squares", "sums")

    def __init__(self) -> None:
        self.counts, self.sums, self.squares = ([0.0] * len(PRIOR_QUANTITIES) for _ in range(3))

    def add(self, values: Sequence[float | None]) -> None:
        """Add one attempt; ``None`` stands where it says nothing about a quantity."""
        for place, value in enumerate(values):
            if value is not None:
                self.counts[place] += 1
                self.sums[place] += value
                self.squares[place] += value * value

    def moments(self) -> NodeMoments:
        """Return the moments of the observed quantities, by name."""
        found = {}
        for name, count, total, squares in zip(PRIOR_QUANTITIES, self.counts, self.sums, self.squares, strict=True):
            if count:
                mean = total / count
                found[name] = Moments(count, mean, max(squares / count - mean * mean, 0.0))
        return found


class PriorBuilder:
    """Sum up attempts by endpoint, provider, model and client region."""

    def __init__(self) -> None:
        self._endpoints: defaultdict[str, MomentSums] = defaultdict(MomentSums)
        self._providers: defaultdict[str, MomentSums] = defaultdict(MomentSums)
        self._models: defaultdict[str, MomentSums] = defaultdict(MomentSums)
        self._market = MomentSums()
        self._regions: defaultdict[tuple[str, str], MomentSums] = defaultdict(MomentSums)

    def add(self, endpoint: str, provider: str, model: str, region: str | None, values: Sequence[float | None]) -> None:
        """Add one attempt; ``values`` are in the order of ``PRIOR_QUANTITIES``."""
        for sums in (self._endpoints[endpoint], self._providers[provider], self._models[model], self._market):
            sums.add(values)
        if region is not None:
            self._regions[region, endpoint].add(values)

    def build(self) -> PriorHierarchy:
        """Return the priors of what was added up to now."""
        endpoints, providers, models = (
            {name: sums.moments() for name, sums in sums_by_name.items()}
            for sums_by_name in (self._endpoints, self._providers, self._models)
        )
        regions = {}
        for key, sums in self._regions.items():
            moments = sums.moments().get("log_ttft")
            if moments is not None:
                regions[key] = Moments(moments.observations, moments.mean - endpoints[key[1]]["log_ttft"].mean)
        return PriorHierarchy(endpoints, providers, models, self._market.moments(), regions)


class OutputLengthBuilder:
    """Sum up the lengths of responses."""

    def __init__(self) -> None:
        self._sums: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, model: str, category: str | None, max_tokens: int | None, tokens: int) -> None:
        """Add one response that came to its end; ``tokens`` is its length."""
        for key in group_keys(model, category, max_tokens):
            total = self._sums[key]
            total[0] += 1
            total[1] += tokens

    def build(self) -> OutputLengths:
        """Return the output lengths of what was added up to now."""
        return OutputLengths({key: (count, total / count) for key, (count, total) in self._sums.items()})


def add_samples(rows: Sequence[Sample], priors: PriorBuilder, lengths: OutputLengthBuilder) -> None:
    """Add samples to both builders. A cached prompt says nothing about the endpoint's usual latency."""
    for s in rows:
        log_latency = None if s.candidate.cached_share else s.log_ttft
        log_ttft, log_response_time = (log_latency, None) if s.context.stream else (None, log_latency)
        values = (s.failure, s.limited, log_ttft, s.log_tokens_per_s, log_response_time, s.malformed, s.prompt_price)
        priors.add(s.endpoint, s.candidate.provider, s.context.model, s.context.client_region, values)
        if s.output_tokens is not None:
            lengths.add(s.context.model, s.category, s.context.max_tokens, s.output_tokens)
