"""What the lab's models say: words of no meaning, of the length that was asked for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

WORDS = [
    "the",
    "tide",
    "turns",
    "a",
    "pilot",
    "notes",
    "bearing",
    "wind",
    "harbour",
    "chart",
    "depth",
    "sand",
    "reef",
    "light",
    "bell",
    "course",
    "north",
    "east",
    "south",
    "west",
    "anchor",
    "sail",
    "swell",
    "current",
    "cape",
    "bay",
]


# The call's arguments when they are no JSON object, and when they fit no schema that asks for a place's name.
GARBLED = {"invalid_json": '{"place":"Genoa"', "schema_mismatch": '{"place":[1453]}'}


@dataclass(frozen=True, slots=True)
class Ask:
    """``tool`` names the function to call, if one should be."""

    characters: int
    max_tokens: int | None
    tool: str | None


@dataclass(frozen=True, slots=True)
class Completion:
    """``pieces`` are the tokens of the text; with ``tool`` there is a call instead of text, ``garbled`` in the way
    named. ``ending`` replaces the usual reason to finish: ``refusal`` or ``error``.
    """

    pieces: tuple[str, ...]
    prompt_tokens: int
    length_limited: bool
    tool: str | None
    number: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    garbled: str | None = None
    ending: str | None = None

    @property
    def tool_name(self) -> str | None:
        return f"{self.tool}_by_another_name" if self.garbled == "unknown_name" else self.tool

    @property
    def arguments(self) -> str:
        """Of the call."""
        return GARBLED.get(self.garbled or "", '{"place":"Genoa"}')

    @property
    def completion_tokens(self) -> int:
        return 12 if self.tool else len(self.pieces)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def complete(ask: Ask, dice: random.Random) -> Completion:
    """A completion drawn with ``dice``; a token is four characters of prompt, one word of answer."""
    wanted = max(1, min(400, int(dice.lognormvariate(3.5, 0.8))))
    count = min(wanted, ask.max_tokens) if ask.max_tokens else wanted
    pieces = tuple(f"{dice.choice(WORDS)} " for _ in range(count))
    number = dice.getrandbits(60)
    return Completion(pieces, max(1, ask.characters // 4), count < wanted, ask.tool, number)


def characters(content: Any) -> int:
    """Characters of text in a message's content, whichever form it has."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(characters(part.get("text") or part.get("content")) for part in content)
    return 0
