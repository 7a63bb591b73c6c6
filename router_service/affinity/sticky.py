"""A conversation stays with the endpoint whose prompt cache holds it, for as long as that cache lives.

Each worker has its own table, of constant size: the conversations that were served last, by it or by those that it
hears from (``sharing``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from data.catalogue.types import Endpoint
from router_service.affinity.messages import ConversationMessage
from router_service.affinity.switching_cost import EndpointTerms, ExpectedTurn, switching_is_cheaper
from router_service.core.bounded_cache import BoundedCache
from router_service.core.conversation import ConversationKey
from router_service.core.plan import Arm, Plan, encode_arms
from router_service.core.usage import Usage
from router_service.health import Health

POLICY = "sticky"
# Conversations; about 400 bytes each.
TABLE_SIZE = 65_536
# What makes room at once, as a part of the table: looking for the oldest costs as much for one as for many.
EVICTED_PART = 64
# Conversations kept for the other workers until they are taken, four times a second; of more the rest stays untold.
MOST_UNTOLD = 1000
PINNED_PLANS = 1024
PINNED_BYTES = 32 * 1024 * 1024
ENDPOINT_BYTES = 400
HOUR_S = 3600.0
# The shortest prompt that the large providers cache; source: "Prompt caching" of the reference.
MIN_CACHED_TOKENS = 1024
# A cache misses now and then by the provider's own balancing: moving would be a miss for certain.
MAX_MISSES = 2


class StickyEntry(NamedTuple):
    """``at`` (remembered) and ``until`` in seconds of the table's clock; ``cached`` tokens are those that the next
    prompt may find cached.
    """

    endpoint: str
    at: float
    until: float
    cached: int
    completion: int
    misses: int


class StickyTable:
    """``hold`` before a plan is sampled, ``remember`` after a success.

    ``likely_from`` is the least prompt in tokens that is believed to be cached before a cached read was seen.
    """

    def __init__(
        self,
        health: Health,
        *,
        clock: Callable[[], float] = time.monotonic,
        size: int = TABLE_SIZE,
        likely_from: float = MIN_CACHED_TOKENS,
    ) -> None:
        self._health = health
        self._clock = clock
        self._size = size
        self._likely_from = likely_from
        self._table: dict[tuple[bytes, str], StickyEntry] = {}
        self._untold: dict[tuple[bytes, str], StickyEntry | None] = {}
        self._pinned: BoundedCache[tuple[int, int], tuple[Plan, Plan]] = BoundedCache(
            PINNED_PLANS, PINNED_BYTES, lambda _key, plans: 2 * ENDPOINT_BYTES * len(plans[0].endpoints)
        )

    def __len__(self) -> int:
        return len(self._table)

    def hold(self, plan: Plan, affinity: ConversationKey | None, prompt_tokens: int) -> Plan:
        """``plan``, or one that tries the conversation's endpoint first with probability 1 and goes on as ``plan``.

        ``prompt_tokens`` is the estimate of the request.
        """
        if affinity is None or not self._table or len(plan.endpoints) < 2 or plan.preferences.order:
            return plan
        entry = self._entry(plan, affinity)
        index = next((i for i, e in enumerate(plan.endpoints) if entry and e.id == entry.endpoint), None)
        if entry is None or index is None or not self._is_up(plan, entry.endpoint):
            return plan
        if not affinity.pinned:
            if plan.service_tier and plan.endpoints[index].service_tier != plan.service_tier:
                return plan
            if not entry.cached or self._clock() >= entry.until:
                return plan
            if self._pays_to_leave(plan, index, entry, prompt_tokens):
                return plan
        return self._plan_of(plan, index)

    def held_tokens(self, plan: Plan, affinity: ConversationKey) -> int | None:
        """Tokens of the conversation that are believed to be in its endpoint's prompt cache."""
        entry = self._entry(plan, affinity)
        return entry.cached if entry else None

    def remember(
        self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage, *, pending: bool, hour: bool
    ) -> None:
        """Note who served. ``pending``: the answer has tool calls or reasoning; ``hour``: a cache of 1 h was asked for.

        Forgets a conversation that has nothing to lose by moving.
        """
        key = (affinity.digest, endpoint.model)
        found = before = self._table.pop(key, None)
        now = self._clock()
        if before is not None and (before.endpoint != endpoint.id or before.until <= now):
            before = None
        missed = usage.cached_tokens == 0 and before is not None and before.cached >= MIN_CACHED_TOKENS
        misses = before.misses + 1 if missed and before else 0
        cached = usage.prompt_tokens if misses < MAX_MISSES and self._caches(affinity, endpoint, usage, before) else 0
        if not cached and not pending:
            if found is not None:
                self._tell(key, None)
            return
        lifetime = max(endpoint.cache_lifetime_s, HOUR_S if hour else 0.0)
        entry = StickyEntry(endpoint.id, now, now + lifetime, cached, usage.completion_tokens, misses)
        self._put(key, entry)
        self._tell(key, entry)

    def take(self) -> list[ConversationMessage]:
        """What was remembered and forgotten since the last call, for the other workers."""
        if not self._untold:
            return []
        untold, self._untold = self._untold, {}
        gone = StickyEntry("", self._clock(), 0.0, 0, 0, 0)
        return [ConversationMessage(digest, model, *(entry or gone)) for (digest, model), entry in untold.items()]

    def hear(self, told: ConversationMessage) -> None:
        """Follow another worker, unless what is known here is newer."""
        key = (told.digest, told.model)
        before = self._table.get(key)
        if before is not None and before.at >= told.at:
            return
        self._table.pop(key, None)
        if told.endpoint:
            self._put(key, StickyEntry(told.endpoint, told.at, told.until, told.cached, told.completion, told.misses))

    def _put(self, key: tuple[bytes, str], entry: StickyEntry) -> None:
        self._table[key] = entry
        if len(self._table) > self._size:
            for oldest in list(islice(self._table, max(1, self._size // EVICTED_PART))):
                del self._table[oldest]

    def _tell(self, key: tuple[bytes, str], entry: StickyEntry | None) -> None:
        if len(self._untold) < MOST_UNTOLD or key in self._untold:
            self._untold[key] = entry

    def _caches(self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage, before: StickyEntry | None) -> bool:
        """Whether the prompt is in the endpoint's cache now, and is read from there at less than its full price."""
        price = endpoint.price
        if price is None or price.cache_read is None or price.cache_read >= price.prompt:
            return False
        if usage.cached_tokens or usage.cache_write_tokens or affinity.source == "session_id":
            return True
        if before is not None and before.cached:
            return True
        # Whoever counts writes and counted none has not written.
        return usage.cache_write_tokens is None and usage.prompt_tokens >= self._likely_from

    def _entry(self, plan: Plan, affinity: ConversationKey) -> StickyEntry | None:
        get = self._table.get
        if not plan.preferences.pooled:
            return get((affinity.digest, plan.model))
        found = [get((affinity.digest, model)) for model in dict.fromkeys(e.model for e in plan.endpoints)]
        return max((entry for entry in found if entry), key=lambda entry: entry.until, default=None)

    def _is_up(self, plan: Plan, endpoint: str) -> bool:
        health = self._health
        if endpoint in health.outages or health.limited(endpoint):
            return False
        return endpoint not in health.ejected([e.id for e in plan.endpoints])

    def _pays_to_leave(self, plan: Plan, index: int, entry: StickyEntry, prompt_tokens: int) -> bool:
        others = [
            (chance, self._terms(endpoint))
            for place, (endpoint, chance) in enumerate(zip(plan.endpoints, plan.probabilities, strict=True))
            if chance > 0 and place != index
        ]
        turn = ExpectedTurn(max(prompt_tokens, entry.cached), entry.cached, entry.completion)
        return switching_is_cheaper(self._terms(plan.endpoints[index]), others, turn)

    def _terms(self, endpoint: Endpoint) -> EndpointTerms:
        assert endpoint.price is not None  # an endpoint without one is never eligible
        return EndpointTerms(endpoint.price, self._health.ttft(endpoint.id))

    def _plan_of(self, plan: Plan, index: int) -> Plan:
        key = (id(plan), index)
        found = self._pinned.get(key)
        if found is None or found[0] is not plan:
            # The plan is kept beside the one that was made of it, so that its id stays its own.
            found = self._pinned.put(key, (plan, pinned_plan(plan, index)))
        return found[1]


def pinned_plan(plan: Plan, index: int) -> Plan:
    """``plan`` with the endpoint at ``index`` first for certain; the log's candidates say so, too.

    The arm keeps the version of the plan's first arm. The rest follow in the plan's order.
    """
    count = len(plan.endpoints)
    arm = Arm(POLICY, plan.arms[0].version, 1.0, tuple(float(i >= index) for i in range(count)))
    chances = {e.id: float(i == index) for i, e in enumerate(plan.endpoints)}
    return plan._replace(
        probabilities=tuple(chances.values()),
        arms=(arm,),
        candidates=_with_chances(plan.candidates, chances),
        logged_arms=encode_arms((arm,)),
        redraw=False,
    )


def _with_chances(candidates: msgspec.Raw, chances: Mapping[str, float]) -> msgspec.Raw:
    rows: list[dict[str, Any]] = msgspec.msgpack.decode(candidates)
    for row in rows:
        row["probability"] = chances.get(row["endpoint"], 0.0)
    return msgspec.Raw(msgspec.msgpack.encode(rows))
