"""Measure the share of prompt tokens that provider caches serve, for each rule of session affinity.

``python -m benchmarks.stickiness MOONCAKE_FILE [--write]``: replays ``conversation_trace.jsonl`` of the Mooncake
traces (Apache-2.0; 12,031 requests of one hour, a hash for each 512 tokens of prefix) over N endpoints of one model,
each with an LRU prefix cache. Simulated are the caches, the prices and the answers; the plans and the table of
conversations are the router's own. ``--write`` puts the tables into ``docs/stickiness.md``. About a minute.
"""

from __future__ import annotations

import argparse
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from data.catalogue.types import Endpoint, Price
from router_service.accounting.cost import cost_of
from router_service.affinity.sticky import MIN_CACHED_TOKENS, StickyTable
from router_service.core.conversation import ConversationKey
from router_service.core.plan import Plan
from router_service.core.preferences import NO_PREFERENCES
from router_service.core.usage import Usage
from router_service.health import Health
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.market_state import MarketState

PAGE = Path(__file__).parents[1] / "docs" / "stickiness.md"
BLOCK = 512
# Of all endpoints together, so that more endpoints do not mean more memory.
CAPACITY_BLOCKS = 50_000
DOCUMENTED_S = 600.0
# Every request begins with the same block, which is no conversation's own; the second is the first that may be.
OPENING_BLOCKS = 2
COUNTS = (2, 4, 8)
LIFETIMES = (300.0, 3600.0)
ASK = RequestProfile(8192, None, ("messages", "model"), True, False, 12)


class TracedRequest(msgspec.Struct):
    """A line of the trace; ``timestamp`` in milliseconds, lengths in tokens."""

    timestamp: int
    input_length: int
    output_length: int
    hash_ids: list[int]

    def affinity(self) -> ConversationKey:
        """Return the conversation key that the router would derive, from the hashes of the first blocks."""
        opening = repr(self.hash_ids[:OPENING_BLOCKS]).encode()
        return ConversationKey(blake2b(opening, digest_size=16).digest(), "conversation", False)


class Caches:
    """One endpoint's: blocks that were used within ``lifetime_s``, at most ``capacity`` of them."""

    def __init__(self, lifetime_s: float, capacity: int) -> None:
        self._lifetime_s, self._capacity = lifetime_s, capacity
        self._used: OrderedDict[int, float] = OrderedDict()

    def read(self, request: TracedRequest, now: float) -> int:
        """Tokens of the prompt that were cached; all of it is from now on."""
        used, known, unbroken = self._used, 0, True
        for block in request.hash_ids:
            unbroken = unbroken and now - used.get(block, -1e9) < self._lifetime_s
            known += unbroken
            used[block] = now
            used.move_to_end(block)
        while len(used) > self._capacity:
            used.popitem(last=False)
        tokens = min(known * BLOCK, request.input_length)
        return tokens if tokens >= MIN_CACHED_TOKENS else 0


class Keeper(Protocol):
    """Rule that assigns the requests of a conversation to endpoints."""

    def apply(self, plan: Plan, affinity: ConversationKey, prompt_tokens: int) -> Plan: ...
    def remember(self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage) -> None: ...


class Nothing:
    def apply(self, plan: Plan, affinity: ConversationKey, prompt_tokens: int) -> Plan:  # noqa: ARG002
        return plan

    def remember(self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage) -> None:
        pass


class Ours:
    def __init__(self, clock: Callable[[], float], min_assumed_tokens: float = MIN_CACHED_TOKENS) -> None:
        self._sticky = StickyTable(Health(clock), clock=clock, min_assumed_tokens=min_assumed_tokens)

    def apply(self, plan: Plan, affinity: ConversationKey, prompt_tokens: int) -> Plan:
        return self._sticky.apply(plan, affinity, prompt_tokens)

    def remember(self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage) -> None:
        self._sticky.remember(affinity, endpoint, usage, pending=False, hour=False)


class Documented:
    """The reference's rule: from the first cached read on, until 10 minutes without a success."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._table: dict[bytes, tuple[str, float]] = {}

    def apply(self, plan: Plan, affinity: ConversationKey, prompt_tokens: int) -> Plan:  # noqa: ARG002
        name, until = self._table.get(affinity.digest, ("", 0.0))
        if self._clock() >= until:
            return plan
        certain = tuple(float(e.id == name) for e in plan.endpoints)
        index = certain.index(1.0)
        arm = plan.arms[0]._replace(cumulative=tuple(float(i >= index) for i in range(len(certain))))
        return plan._replace(probabilities=certain, arms=(arm,))

    def remember(self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage) -> None:
        if usage.cached_tokens or self._table.get(affinity.digest, ("", 0.0))[0] == endpoint.id:
            self._table[affinity.digest] = (endpoint.id, self._clock() + DOCUMENTED_S)


class StickinessResult(NamedTuple):
    """Share of prompt tokens read from caches; USD for prompts per 1000 requests; the most that an endpoint has of
    the prompt tokens, over what the plan's probabilities give it.
    """

    cached: float
    usd: float
    load: float


def offers(count: int, lifetime_s: float) -> tuple[Endpoint, ...]:
    """``count`` endpoints at 0.50 to 0.75 USD per million tokens, cached reads at a quarter of that."""
    found = []
    for number in range(count):
        nano = round(5e8 * (1 + 0.5 * number / max(1, count - 1)))
        found.append(
            Endpoint(
                id=f"p{number}:m",
                tag=f"p{number}",
                provider=f"p{number}",
                provider_name=f"P{number}",
                model="a/m",
                upstream_model="m",
                wire_format="openai_chat",
                base_url=None,
                key_env=(),
                price=Price(nano, 2 * nano, nano // 4),
                context_length=0,
                cache_lifetime_s=lifetime_s,
            )
        )
    return tuple(found)


def replay(
    trace: Sequence[TracedRequest], count: int, lifetime_s: float, keep: Callable[[Callable[[], float]], Keeper]
) -> StickinessResult:
    """One pass over the trace."""
    now = 0.0
    keeper = keep(lambda: now)
    plan = make_plan("a/m", offers(count, lifetime_s), NO_PREFERENCES, ASK, MarketState("v", 0, frozenset()))
    caches = {e.id: Caches(lifetime_s, CAPACITY_BLOCKS // count) for e in plan.endpoints}
    tokens = dict.fromkeys(caches, 0)
    draw = random.Random(7).random
    cached = nano = 0
    for request in trace:
        now = request.timestamp / 1000
        affinity = request.affinity()
        decision = keeper.apply(plan, affinity, request.input_length).sample(draw())
        endpoint = decision.plan.endpoints[decision.first]
        known = caches[endpoint.id].read(request, now)
        usage = Usage(request.input_length, request.output_length, cached_tokens=known)
        keeper.remember(affinity, endpoint, usage)
        assert endpoint.price is not None
        cost = cost_of(usage, endpoint.price)
        cached, nano = cached + known, nano + cost.prompt + cost.cached
        tokens[endpoint.id] += request.input_length
    total = sum(tokens.values())
    planned = zip(plan.endpoints, plan.probabilities, strict=True)
    load = max(tokens[e.id] / total / chance for e, chance in planned)
    return StickinessResult(cached / total, nano / 1e6 / len(trace), load)


POLICIES: tuple[tuple[str, Callable[[Callable[[], float]], Keeper]], ...] = (
    ("price shares, no stickiness", lambda _: Nothing()),
    ("documented: 10 minutes, after a cached read", Documented),
    ("ours, but after a cached read only", lambda clock: Ours(clock, float("inf"))),
    ("ours", Ours),
)


def tables(trace: Sequence[TracedRequest]) -> str:
    """Markdown, a table for each lifetime."""
    lines = []
    for lifetime_s in LIFETIMES:
        bound = replay(trace, 1, lifetime_s, lambda _: Nothing())
        lines += [f"Caches live {lifetime_s / 60:.0f} minutes after the last use:", ""]
        lines += ["| endpoints | policy | from cache | USD per 1000 prompts | most loaded |", "|---|---|---|---|---|"]
        for count in COUNTS:
            for name, keep in POLICIES:
                result = replay(trace, count, lifetime_s, keep)
                lines.append(f"| {count} | {name} | {result.cached:.1%} | {result.usd:.2f} | {result.load:.2f} |")
        lines += [f"| 1 | upper bound: one endpoint | {bound.cached:.1%} | {bound.usd:.2f} | 1.00 |", ""]
    return "\n".join(lines)


def main() -> None:
    """Print the tables; with ``--write`` put them into the page."""
    parser = argparse.ArgumentParser(description="Share of prompt tokens served from cache on the Mooncake trace.")
    parser.add_argument("trace", type=Path, metavar="MOONCAKE_FILE")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    arguments = parser.parse_args()
    decoder = msgspec.json.Decoder(TracedRequest)
    found = tables([decoder.decode(line) for line in arguments.trace.read_bytes().splitlines()])
    print(found)
    if arguments.write:
        head, _, rest = PAGE.read_text().partition("<!-- tables -->\n")
        PAGE.write_text(f"{head}<!-- tables -->\n{found}<!-- end -->{rest.partition('<!-- end -->')[2]}")


if __name__ == "__main__":
    main()
