"""What a call costs the operator whose answer nobody took."""

from __future__ import annotations

from typing import NamedTuple

from data.catalogue.types import Price
from router_service.accounting.cost import cost_of
from router_service.providers.adapter import Usage


class LostCall(NamedTuple):
    """The loser of two calls. ``begun``: its provider is known, or has to be taken, to have worked on the prompt.

    ``stops``: closing the connection ends that work. ``usage`` is the provider's own count, where it came.
    """

    price: Price
    begun: bool
    stops: bool
    usage: Usage | None = None

    def cost_nano(self, served: Usage | None, estimated_prompt_tokens: int) -> int:
        """nano-USD: the provider's count where it is known, else an estimate.

        The prompt is taken to be as long as the one that was ``served``, or as was believed beforehand. A provider
        that goes on after its caller has left is taken to write as much as the other did; what one that stops had
        written by then is not known and not counted.
        """
        if self.usage is not None:
            return cost_of(self.usage, self.price).total
        if not self.begun:
            return 0
        prompt = served.prompt_tokens if served and served.prompt_tokens else estimated_prompt_tokens
        completion = served.completion_tokens if served and not self.stops else 0
        return cost_of(Usage(prompt, completion), self.price).total
