"""Measure what stickiness adds to a request, in microseconds: conversation key, plan change, table update.

``python -m benchmarks.sticky_cost``. Prints percentiles; asserts nothing.
"""

from __future__ import annotations

import msgspec

from benchmarks.plan import ASK, MODEL, market, report
from router_service.affinity.conversation import asks_for_hour_cache, conversation_key, is_pinned
from router_service.affinity.sticky import StickyTable
from router_service.api.parse_head import parse_head
from router_service.core.preferences import NO_PREFERENCES
from router_service.core.usage import Usage
from router_service.health import Health
from router_service.planning.make_plan import make_plan


def main() -> None:
    """Print the table."""
    print(f"{'':34}{'p5 µs':>9}{'p50 µs':>9}{'p99 µs':>9}")
    for size in (2_000, 400_000):
        messages = [{"role": "system", "content": "Be brief. " * 60}]
        messages += [
            {"role": "assistant" if n % 2 else "user", "content": 'some "words"\n' * 40} for n in range(size // 600)
        ]
        head = parse_head(msgspec.json.encode({"model": MODEL, "messages": messages}))
        kilobytes = len(head.messages) // 1000
        raw = msgspec.json.encode([*messages, {"role": "tool", "content": "x" * size}])
        report(f"affinity, {kilobytes} kB", lambda head=head: conversation_key("key", head, {}))  # type: ignore[misc]
        report(f"1 h asked for?, {kilobytes} kB", lambda head=head: asks_for_hour_cache(head))  # type: ignore[misc]
        report(f"pinned?, tool result of {size // 1000} kB", lambda raw=raw: is_pinned(raw))  # type: ignore[misc]
    endpoints, state = market()
    plan = make_plan(MODEL, endpoints, NO_PREFERENCES, ASK, state)
    sticky = StickyTable(Health())
    affinity = conversation_key("key", head, {})
    assert affinity is not None
    usage = Usage(10_000, 500, cached_tokens=8000)
    cheapest = plan.endpoints[0]
    report("hold, conversation not known", lambda: sticky.apply(plan, affinity, 10_000))
    report("remember", lambda: sticky.remember(affinity, cheapest, usage, pending=False, hour=False))
    report("hold, 36 candidates", lambda: sticky.apply(plan, affinity, 10_000))


if __name__ == "__main__":
    main()
