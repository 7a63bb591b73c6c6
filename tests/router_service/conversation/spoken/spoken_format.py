"""Declare what the tests of conversations and of pairs know about a wire format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SYSTEM = "Answer as a harbour pilot does."
Item = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """Name the provider that a turn goes to, and the model that it serves."""

    model: str
    provider: str
    wire_format: str


@dataclass
class Received:
    """Hold what a provider was sent, in order, whatever its format."""

    assistant: list[list[Item]] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @property
    def items(self) -> list[Item]:
        return [item for turn in self.assistant for item in turn]

    def kind(self, kind: str) -> list[Item]:
        return [item for item in self.items if item[0] == kind]


def thinking_text(body: bytes, streamed: bool, items: list[Item]) -> str:
    """Return the readable reasoning of an answer whose items have it."""
    return "".join(item[1] for item in items if item[0] in ("thinking", "plan"))


def takes_no_budget(model: str) -> bool:
    """Return false for any model: the format has no number of tokens of reasoning."""
    return False


@dataclass(frozen=True)
class SpokenFormat:
    """Tell how a wire format is read in tests, and where it is tried. A new format is one of these.

    The first of ``places`` stands for the format in the matrix of pairs, unless ``row_places`` has another one for a
    row. ``path`` matches the address of its requests. ``fields`` are those that a request of the tests may have; the
    router's own are none of them. ``items`` reads an answer from its bytes and whether it is streamed: ``("text",
    text)``, ``("call", id, name, arguments)``, ``("thinking", text, signature)``, ``("plan", text)``, ``("redacted",
    data)``, ``("sealed", encrypted reasoning)`` and ``("signed", content, signature)``; arguments are decoded JSON.
    ``received`` reads a request. ``call_ids`` is what the provider takes as ids of calls, ``None`` where calls and
    results are paired by their order.

    ``returns`` says how much of its reasoning goes back: to the same ``provider``, to the same ``model`` or not at all.
    ``proves`` is true where its reasoning is signed or encrypted. ``takes_budget`` tells of a model whether it takes a
    number of tokens of reasoning. ``begins_with_thinking`` is true where a turn with calls cannot be continued with
    reasoning unless it begins with it. ``marks_cache`` is true where it takes marks of the prompt cache and charges for
    what is written. ``instead`` has the scenario to ask for where the format cannot show one.
    ``notes`` are sentences on rows of the matrix that the format cannot fill. ``losses`` are the provider and the
    models for the table of losses, ``None`` where the table finds them itself.
    """

    name: str
    places: tuple[Place, ...]
    path: re.Pattern[str]
    fields: frozenset[str]
    items: Callable[[bytes, bool], list[Item]]
    received: Callable[[dict[str, Any]], Received]
    call_ids: re.Pattern[str] | None
    returns: str = "no"
    proves: bool = True
    readable: Callable[[bytes, bool, list[Item]], str] = thinking_text
    takes_budget: Callable[[str], bool] = takes_no_budget
    begins_with_thinking: bool = False
    marks_cache: bool = False
    row_places: Mapping[str, Place] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[str, tuple[str, ...]] | None = None


def stream_events(answer: bytes) -> list[dict[str, Any]]:
    """Return the data of the events of a stream."""
    lines = (line.removeprefix("data: ") for line in answer.decode().splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]
