"""The faults that are planted, and in whom."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint


class ChaosFault(NamedTuple):
    """``mode`` is planted in the lab; ``at`` is a fault of the address, see ``market.py``; ``all`` hits every
    endpoint of the case, so that nothing can succeed.
    """

    name: str
    mode: dict[str, Any] | None = None
    at: str | None = None
    all: bool = False


FAULTS = (
    ChaosFault("connection refused, the whole provider", at="refused"),
    ChaosFault("no such host", at="dns"),
    ChaosFault("certificate of an unknown authority", at="tls"),
    ChaosFault("expired certificate", at="expired"),
    ChaosFault("hangs before the headers", {"mode": "hang"}),
    ChaosFault("hangs after the headers", {"mode": "stall", "after": 0}),
    ChaosFault("hangs after the role, half a whole answer", {"mode": "stall", "after": 1}),
    ChaosFault("stalls mid-stream", {"mode": "stall", "after": 3}),
    ChaosFault("resets after the headers", {"mode": "reset", "after": 0}),
    ChaosFault("resets mid-stream", {"mode": "reset", "after": 3}),
    ChaosFault("four times as slow", {"mode": "slow"}),
    ChaosFault("429 with Retry-After", {"mode": "rate_limit"}),
    ChaosFault("429 without Retry-After", {"mode": "rate_limit", "retry_after": None}),
    ChaosFault("5xx, 1 %", {"mode": "error", "rate": 0.01}),
    ChaosFault("5xx, 10 %", {"mode": "error", "rate": 0.1}),
    ChaosFault("5xx, 50 %", {"mode": "error", "rate": 0.5}),
    ChaosFault("a page of HTML with status 200", {"mode": "html"}),
    ChaosFault("all of them gone", {"mode": "error"}, all=True),
)


class Case(NamedTuple):
    """One fault under one kind of traffic. ``endpoints`` are three of ``model``, the cheapest, which is hit, first."""

    fault: ChaosFault
    stream: bool
    model: str
    endpoints: tuple[Endpoint, ...]

    @property
    def hit(self) -> Endpoint:
        return self.endpoints[0]


def cases(faults: tuple[ChaosFault, ...] = FAULTS) -> list[Case]:
    """Each fault for streams and for whole answers, each with endpoints of its own.

    A fault of an address hits a provider as a whole, which is then in no other case.
    """
    free = _by_model()
    found: list[Case] = []
    seen: set[str] = set()
    hit: set[str] = set()
    for fault in sorted(faults, key=lambda fault: fault.at is None):
        for stream in (True, False):
            case = _next(free, fault, stream, seen if fault.at else hit, hit)
            found.append(case)
            if fault.at:
                hit.add(case.hit.provider)
                seen.update(endpoint.provider for endpoint in case.endpoints)
    return found


def _next(free: dict[str, list[Endpoint]], fault: ChaosFault, stream: bool, seen: set[str], hit: set[str]) -> Case:
    for model, endpoints in free.items():
        usable = [endpoint for endpoint in endpoints if endpoint.provider not in hit]
        at = next((n for n, endpoint in enumerate(usable) if endpoint.provider not in seen), len(usable))
        triple = tuple(usable[at : at + 3])
        if len(triple) == 3:
            free[model] = [endpoint for endpoint in endpoints if endpoint not in triple]
            return Case(fault, stream, model, triple)
    raise LookupError(f"the catalogue has no three endpoints left for {fault.name}")


def _by_model() -> dict[str, list[Endpoint]]:
    """Endpoints of one wire format and no service tier, the cheapest first, for models with many of them.

    Where a provider has several endpoints of a model, its slug names all of them, and a fault of one would be healed
    by the other: those are left out.
    """
    found = {}
    for model, endpoints in load_catalogue().endpoints.items():
        offers = Counter(e.provider for e in endpoints if e.enabled)
        fit = [e for e in endpoints if e.enabled and e.price and not e.free and offers[e.provider] == 1]
        fit = [e for e in fit if e.wire_format == "openai_chat" and e.task == "chat" and e.price and e.price.prompt]
        found[model] = sorted(fit, key=lambda e: (e.price.prompt + e.price.completion if e.price else 0, e.id))
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))
