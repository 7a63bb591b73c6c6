"""Keep a conversation at the endpoint whose prompt cache holds it, for as long as the cache lives.

Each worker has its own table of bounded size. It holds the conversations that were served last, by this worker or by
the workers whose messages it receives (``cluster.sharing``).
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
# An entry takes about 400 bytes.
MAX_CONVERSATIONS = 65_536
# One eviction removes this part of the table, 1/64: finding one oldest entry costs as much as finding many.
EVICTION_DIVISOR = 64
# Changes are queued for the other workers and drained four times a second. Further ones are not sent.
MAX_UNSENT = 1000
MAX_PLANS = 1024
MAX_PLAN_BYTES = 32 * 1024 * 1024
ENDPOINT_BYTES = 400
HOUR_S = 3600.0
# The large providers cache no shorter prompt; source: "Prompt caching" of the reference.
MIN_CACHED_TOKENS = 1024
# A cache misses now and then because the provider balances its own load; a switch would certainly miss.
MAX_MISSES = 2


class StickyEntry(NamedTuple):
    """Describe the last response of a conversation.

    ``at`` (served) and ``until`` (cache expiry) are seconds of the table's clock. ``cached`` are the tokens that the
    next prompt may find cached, ``completion`` those of the response. ``misses`` counts cache misses in a row.
    """

    endpoint: str
    at: float
    until: float
    cached: int
    completion: int
    misses: int


class StickyTable:
    """Map conversations to endpoints: ``apply`` runs before a plan is sampled, ``remember`` after a success.

    ``min_assumed_tokens`` is the shortest prompt that is assumed to be cached before a cached read was observed.
    """

    def __init__(
        self,
        health: Health,
        *,
        clock: Callable[[], float] = time.monotonic,
        size: int = MAX_CONVERSATIONS,
        min_assumed_tokens: float = MIN_CACHED_TOKENS,
    ) -> None:
        self._health = health
        self._clock = clock
        self._size = size
        self._min_assumed_tokens = min_assumed_tokens
        self._table: dict[tuple[bytes, str], StickyEntry] = {}
        self._unsent: dict[tuple[bytes, str], StickyEntry | None] = {}
        self._plans: BoundedCache[tuple[int, int], tuple[Plan, Plan]] = BoundedCache(
            MAX_PLANS, MAX_PLAN_BYTES, lambda _key, plans: 2 * ENDPOINT_BYTES * len(plans[0].endpoints)
        )

    def __len__(self) -> int:
        return len(self._table)

    def apply(self, plan: Plan, affinity: ConversationKey | None, prompt_tokens: int) -> Plan:
        """Return ``plan``, or a copy that tries the conversation's endpoint first with probability 1.

        ``prompt_tokens`` is the estimate for the request. A conversation stays while its cache lives, its endpoint is
        healthy and switching is not cheaper; a pinned conversation stays while its endpoint is healthy.
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
            if self._switching_pays(plan, index, entry, prompt_tokens):
                return plan
        return self._sticky_plan(plan, index)

    def expected_cached_tokens(self, plan: Plan, affinity: ConversationKey) -> int | None:
        """Return the tokens of the conversation that its endpoint's prompt cache is expected to hold, or ``None``."""
        entry = self._entry(plan, affinity)
        return entry.cached if entry else None

    def remember(
        self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage, *, pending: bool, hour: bool
    ) -> None:
        """Record that ``endpoint`` served the conversation, or remove a conversation that would lose nothing by a
        switch.

        ``pending`` is true if the response has tool calls or reasoning, ``hour`` if the request asked for a cache of
        one hour.
        """
        key = (affinity.digest, endpoint.model)
        found = before = self._table.pop(key, None)
        now = self._clock()
        if before is not None and (before.endpoint != endpoint.id or before.until <= now):
            before = None
        missed = usage.cached_tokens == 0 and before is not None and before.cached >= MIN_CACHED_TOKENS
        misses = before.misses + 1 if missed and before else 0
        cached = (
            usage.prompt_tokens if misses < MAX_MISSES and self._is_cached(affinity, endpoint, usage, before) else 0
        )
        if not cached and not pending:
            if found is not None:
                self._queue_message(key, None)
            return
        lifetime = max(endpoint.cache_lifetime_s, HOUR_S if hour else 0.0)
        entry = StickyEntry(endpoint.id, now, now + lifetime, cached, usage.completion_tokens, misses)
        self._put(key, entry)
        self._queue_message(key, entry)

    def drain(self) -> list[ConversationMessage]:
        """Return the changes since the last call as messages for the other workers."""
        if not self._unsent:
            return []
        unsent, self._unsent = self._unsent, {}
        gone = StickyEntry("", self._clock(), 0.0, 0, 0, 0)
        return [ConversationMessage(digest, model, *(entry or gone)) for (digest, model), entry in unsent.items()]

    def receive(self, message: ConversationMessage) -> None:
        """Apply a change of another worker unless this worker's entry is newer."""
        key = (message.digest, message.model)
        before = self._table.get(key)
        if before is not None and before.at >= message.at:
            return
        self._table.pop(key, None)
        if message.endpoint:
            self._put(
                key,
                StickyEntry(
                    message.endpoint, message.at, message.until, message.cached, message.completion, message.misses
                ),
            )

    def _put(self, key: tuple[bytes, str], entry: StickyEntry) -> None:
        self._table[key] = entry
        if len(self._table) > self._size:
            for oldest in list(islice(self._table, max(1, self._size // EVICTION_DIVISOR))):
                del self._table[oldest]

    def _queue_message(self, key: tuple[bytes, str], entry: StickyEntry | None) -> None:
        if len(self._unsent) < MAX_UNSENT or key in self._unsent:
            self._unsent[key] = entry

    def _is_cached(
        self, affinity: ConversationKey, endpoint: Endpoint, usage: Usage, before: StickyEntry | None
    ) -> bool:
        """Return whether the endpoint has now cached the prompt and reads it at less than its full price."""
        price = endpoint.price
        if price is None or price.cache_read is None or price.cache_read >= price.prompt:
            return False
        if usage.cached_tokens or usage.cache_write_tokens or affinity.source == "session_id":
            return True
        if before is not None and before.cached:
            return True
        # A provider that counts cache writes and reports none has not cached the prompt.
        return usage.cache_write_tokens is None and usage.prompt_tokens >= self._min_assumed_tokens

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

    def _switching_pays(self, plan: Plan, index: int, entry: StickyEntry, prompt_tokens: int) -> bool:
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

    def _sticky_plan(self, plan: Plan, index: int) -> Plan:
        key = (id(plan), index)
        found = self._plans.get(key)
        if found is None or found[0] is not plan:
            # The source plan is kept alive with its copy, so that no other plan can get its id.
            found = self._plans.put(key, (plan, sticky_plan(plan, index)))
        return found[1]


def sticky_plan(plan: Plan, index: int) -> Plan:
    """Return a copy of ``plan`` that tries the endpoint at ``index`` first for certain, also in the log's candidates.

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
