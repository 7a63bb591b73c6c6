"""Describe a response apart from wire formats: what the model says, thinks and calls, and how the response ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from lab.text import Completion

Ending = Literal["end", "length", "stop_sequence", "tools", "pause", "refusal", "filtered", "failed", "blocked"]
Break = Literal["error", "cut"]
TOKENS_OF_A_CALL = 12
TOKENS_OF_HIDDEN_THINKING = 30


@dataclass(frozen=True, slots=True)
class CitedSource:
    """Name what a text quotes: a document of the request by its index, or a web page."""

    quote: str
    title: str
    url: str | None = None
    document: int = 0
    start: int = 0


@dataclass(frozen=True, slots=True)
class SaidText:
    """Text, in tokens."""

    pieces: tuple[str, ...]
    citations: tuple[CitedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Thought:
    """Thinking that the client sees, in tokens."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HiddenThought:
    """Thinking that the client receives in encrypted form."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call of one of the client's tools. ``arguments`` is JSON, or any text for a ``custom`` tool."""

    number: int
    name: str
    arguments: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Searched:
    """A web search by the provider. ``results`` is ``None`` while it runs; ``resumed`` if the call came earlier."""

    call_id: str
    query: str
    results: tuple[CitedSource, ...] | None
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class RanTool:
    """A call of another tool that the provider runs, such as ``code_interpreter``, and its result."""

    tool: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The words of a refusal, in tokens."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """An image that the model has made; ``data`` is base64."""

    media_type: str
    data: str


Part = SaidText | Thought | HiddenThought | Called | Searched | RanTool | Declined | Drawn


@dataclass(frozen=True, slots=True)
class Script:
    """One choice of a response. ``breaks`` is the way in which it fails; ``silence_s`` (s) is between its events."""

    parts: tuple[Part, ...]
    ending: Ending = "end"
    stop_sequence: str | None = None
    breaks: Break | None = None
    silence_s: float | None = None

    @property
    def thinking_tokens(self) -> int:
        shown = sum(len(part.pieces) for part in self.parts if isinstance(part, Thought))
        return shown + TOKENS_OF_HIDDEN_THINKING * sum(isinstance(part, HiddenThought) for part in self.parts)

    @property
    def tokens(self) -> int:
        """Return the completion tokens, thinking included."""
        texts = sum(len(part.pieces) for part in self.parts if isinstance(part, (SaidText, Declined)))
        calls = sum(isinstance(part, (Called, Searched, RanTool)) for part in self.parts)
        return self.thinking_tokens + texts + TOKENS_OF_A_CALL * calls

    @property
    def searches(self) -> int:
        return sum(isinstance(part, Searched) for part in self.parts)

    @property
    def runs_tool(self) -> str | None:
        """Return the first tool, other than a search, that the provider runs."""
        return next((part.tool for part in self.parts if isinstance(part, RanTool)), None)

    @property
    def pauses(self) -> bool:
        """Return whether the response ends before a search has its results."""
        return any(isinstance(part, Searched) and part.results is None for part in self.parts)

    def limited(self, max_tokens: int | None) -> Script:
        """Return the script cut off after ``max_tokens`` tokens, in its last text alone."""
        last = self.parts[-1] if self.parts else None
        if max_tokens is None or self.tokens <= max_tokens or not isinstance(last, SaidText):
            return self
        kept = last.pieces[: max(1, len(last.pieces) - (self.tokens - max_tokens))]
        return replace(self, parts=(*self.parts[:-1], SaidText(kept)), ending="length", stop_sequence=None)

    def thinking(self, thought: Thought) -> Script:
        """Return the script with ``thought`` before it, unless it starts with thinking of its own."""
        starts = self.parts and isinstance(self.parts[0], (Thought, HiddenThought, Searched, RanTool))
        return self if starts else replace(self, parts=(thought, *self.parts))


def only_of_gemini(script: Script) -> str | None:
    """Return what of ``script`` no wire format but Google's has."""
    if any(isinstance(part, Drawn) for part in script.parts):
        return "an image that the model has made"
    return "a prompt that is blocked" if script.ending == "blocked" else None


def in_pieces(text: str) -> tuple[str, ...]:
    """Split ``text`` into tokens: words with the white space before them."""
    return tuple(re.findall(r"\s*\S+|\s+$", text))


def joined(parts: Iterable[Part], kind: type[SaidText] | type[Declined]) -> str:
    """Return the text of all parts of ``kind``."""
    return "".join("".join(part.pieces) for part in parts if isinstance(part, kind))


def drawn_script(completion: Completion, endings: Mapping[str, Ending]) -> Script:
    """Return what the model drew; ``endings`` are those of a wire format by the fault that was injected."""
    if completion.ending:
        return Script((), endings[completion.ending])
    if completion.tool is None:
        return Script((SaidText(completion.pieces),), "length" if completion.length_limited else "end")
    return Script((Called(completion.number, completion.tool_name or "", completion.arguments),), "tools")
