"""Register the strategies that choose the first endpoint. A strategy is a file with ``choose`` and a line here.

All strategies return probabilities, and a plan is sampled once, whatever the strategy. ``order`` and ``sort`` follow
from the request's preferences; the others are named by the request, the key or the installation.
"""

from __future__ import annotations

from router_service.planning.strategies import adjusted, exacto, learned, price, sort
from router_service.planning.strategies.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {
    "order": sort.choose_named,
    "sort": sort.choose,
    "exacto": exacto.choose,
    "price": price.choose,
    "adjusted": adjusted.choose,
    "learned": learned.choose,
}
