"""Generate the completions of the lab's models: meaningless words of the requested length."""

from __future__ import annotations

import base64
import binascii
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


CHARACTERS_OF_A_TOKEN = 4
# Arguments that are not valid JSON, and arguments that violate any schema in which the place is a string.
GARBLED = {"invalid_json": '{"place":"Genoa"', "schema_mismatch": '{"place":[1453]}'}


@dataclass(frozen=True, slots=True)
class Ask:
    """Request as a model sees it; ``tool`` names the function to call, if any."""

    characters: int
    max_tokens: int | None
    tool: str | None


@dataclass(frozen=True, slots=True)
class Completion:
    """Completion of a model. ``pieces`` are the tokens of its text.

    With ``tool`` it is a tool call instead of text; ``garbled`` names the way in which the call is corrupted.
    ``ending`` replaces the usual finish reason: ``refusal`` or ``error``.
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
        """Return the arguments of the tool call as JSON text."""
        return GARBLED.get(self.garbled or "", '{"place":"Genoa"}')

    @property
    def completion_tokens(self) -> int:
        return 12 if self.tool else len(self.pieces)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def complete(ask: Ask, dice: random.Random) -> Completion:
    """Draw a completion. A token is four characters of the prompt or one word of the completion."""
    wanted = max(1, min(400, int(dice.lognormvariate(3.5, 0.8))))
    count = min(wanted, ask.max_tokens) if ask.max_tokens else wanted
    pieces = tuple(f"{dice.choice(WORDS)} " for _ in range(count))
    number = dice.getrandbits(60)
    return Completion(pieces, max(1, ask.characters // CHARACTERS_OF_A_TOKEN), count < wanted, ask.tool, number)


def decoded_text(encoded: str) -> str:
    """Return the text that base64 holds; what is no text of UTF-8 is replaced."""
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def characters(content: Any) -> int:
    """Return the number of text characters in a message's content, a string or a list of parts."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(characters(part.get("text") or part.get("content")) for part in content)
    return 0
