"""Add up what attempts came to, into priors and lengths of answers that may be asked for at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from models.selection.dataset.samples import Sample
from models.selection.decision.output_length import Key, OutputLengths, keys
from models.selection.decision.priors import PRIOR_QUANTITIES, Moments, NodeMoments, PriorHierarchy


class MomentSums:
    """Sums of what was seen of one node."""

    __slots__ = ("counts", "squares", "sums")

    def __init__(self) -> None:
        self.counts, self.sums, self.squares = ([0.0] * len(PRIOR_QUANTITIES) for _ in range(3))

    def add(self, values: Sequence[float | None]) -> None:
        """One attempt, ``None`` where it says nothing of a quantity."""
        for place, value in enumerate(values):
            if value is not None:
                self.counts[place] += 1
                self.sums[place] += value
                self.squares[place] += value * value

    def node(self) -> NodeMoments:
        """What was seen, by the names of ``PRIOR_QUANTITIES``."""
        found = {}
        for name, count, total, squares in zip(PRIOR_QUANTITIES, self.counts, self.sums, self.squares, strict=True):
            if count:
                mean = total / count
                found[name] = Moments(count, mean, max(squares / count - mean * mean, 0.0))
        return found


class PriorBuilder:
    """PriorHierarchy in the making: attempts are added, ``levels`` may be asked for at any time."""

    def __init__(self) -> None:
        self._endpoints: defaultdict[str, MomentSums] = defaultdict(MomentSums)
        self._providers: defaultdict[str, MomentSums] = defaultdict(MomentSums)
        self._models: defaultdict[str, MomentSums] = defaultdict(MomentSums)
        self._market = MomentSums()
        self._regions: defaultdict[tuple[str, str], MomentSums] = defaultdict(MomentSums)

    def add(self, endpoint: str, provider: str, model: str, region: str | None, values: Sequence[float | None]) -> None:
        """One attempt; ``values`` in the order of ``PRIOR_QUANTITIES``."""
        for tally in (self._endpoints[endpoint], self._providers[provider], self._models[model], self._market):
            tally.add(values)
        if region is not None:
            self._regions[region, endpoint].add(values)

    def levels(self) -> PriorHierarchy:
        """Of what was added up to now."""
        endpoints, providers, models = (
            {name: tally.node() for name, tally in tallies.items()}
            for tallies in (self._endpoints, self._providers, self._models)
        )
        regions = {}
        for key, tally in self._regions.items():
            past = tally.node().get("log_ttft")
            if past is not None:
                regions[key] = Moments(past.seen, past.mean - endpoints[key[1]]["log_ttft"].mean)
        return PriorHierarchy(endpoints, providers, models, self._market.node(), regions)


class OutputLengthBuilder:
    """The table in the making."""

    def __init__(self) -> None:
        self._sums: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, model: str, category: str | None, max_tokens: int | None, tokens: int) -> None:
        """One finished answer."""
        for key in keys(model, category, max_tokens):
            total = self._sums[key]
            total[0] += 1
            total[1] += tokens

    def lengths(self) -> OutputLengths:
        """Of what was added up to now."""
        return OutputLengths({key: (count, total / count) for key, (count, total) in self._sums.items()})


def add_samples(rows: Sequence[Sample], levels: PriorBuilder, lengths: OutputLengthBuilder) -> None:
    """Add what ``rows`` came to. A prompt that lay in the cache says nothing of how long the endpoint usually takes."""
    for s in rows:
        log_wait = None if s.candidate.cached_share else s.log_ttft
        first, whole = (log_wait, None) if s.context.stream else (None, log_wait)
        values = (s.failure, s.limited, first, s.log_tokens_per_s, whole, s.malformed, s.prompt_price)
        levels.add(s.endpoint, s.candidate.provider, s.context.model, s.context.client_region, values)
        if s.output_tokens is not None:
            lengths.add(s.context.model, s.category, s.context.max_tokens, s.output_tokens)
