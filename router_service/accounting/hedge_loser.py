"""Price the call of a hedged pair whose response nobody took."""

from __future__ import annotations

from router_service.accounting.cost import cost_of
from router_service.core.exchange import HedgeLoser
from router_service.core.usage import Usage


def hedge_loser_cost(loser: HedgeLoser, served: Usage | None, estimated_prompt_tokens: int) -> int:
    """Return nano-USD: by the provider's own count where it is known, else by an estimate.

    The prompt is assumed to be as long as the one that was ``served``, or as was estimated beforehand. A provider
    that goes on after its caller has disconnected is assumed to write as much as the winner did; what one that stops
    had written by then is not known and not counted.
    """
    if loser.usage is not None:
        return cost_of(loser.usage, loser.price).total
    if not loser.started:
        return 0
    prompt = served.prompt_tokens if served and served.prompt_tokens else estimated_prompt_tokens
    completion = served.completion_tokens if served and not loser.stops_on_disconnect else 0
    return cost_of(Usage(prompt, completion), loser.price).total
