"""Declare how the tests of pairs speak a client API: what they ask, and what they see of an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

LIMIT = 4000
TOOL_NAMES = ("find_port", "hoist")
TOOL_SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "depth": {"type": "integer"}},
    "required": ["place", "depth"],
    "additionalProperties": False,
}
CUSTOM_NAME = "note"


@dataclass(frozen=True)
class PairRequest:
    """Say what a request asks for besides its turns. ``tools`` are functions; ``cached`` marks the prompt."""

    stream: bool = False
    tools: Sequence[str] = ()
    custom: bool = False
    schema: bool = False
    reasoning: bool = False
    cached: bool = False


@dataclass
class SeenAnswer:
    """Hold what a client sees of an answer, whatever its API.

    ``calls`` are names and arguments: an object for a function, a text for a custom tool. ``pieces`` counts the texts
    of a stream. ``turn`` is what the client sends back. ``cached`` and ``reasoned`` are counts of tokens. ``error`` is
    the one within a stream.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str | None = None
    pieces: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoned: int = 0
    turn: Any = None
    error: dict[str, Any] | None = None


class SkinClient(Protocol):
    """Hold one conversation as a client of one API does."""

    name: str
    path: str
    # How the API says that an answer is complete, and that it ended with calls.
    complete: str
    called: str

    def say(self, text: str, image: str | None = None) -> None:
        """Append a turn of the user; ``image`` is a PNG as base64."""

    def keep(self, seen: SeenAnswer) -> None:
        """Append an answer as the client received it."""

    def body(self, model: str, asked: PairRequest) -> dict[str, Any]:
        """Return the body of the request."""

    def read(self, answer: dict[str, Any]) -> SeenAnswer:
        """Return what a non-streaming response says. Raises ``AssertionError`` for one that the API does not have."""

    def read_stream(self, content: bytes) -> SeenAnswer:
        """Return what a complete stream says. Raises ``AssertionError`` for one that the API does not have."""

    def check_error(self, status: int, body: dict[str, Any], kind: str) -> None:
        """Assert that ``body`` is the API's error for the router's ``kind`` of error."""

    def text_in(self, line: str) -> bool:
        """Return whether a line of a stream has text of the answer."""


def event_data(content: bytes) -> list[dict[str, Any]]:
    """Return the data of a stream's events; those without JSON are left out."""
    lines = (line.removeprefix("data: ") for line in content.decode().splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def ends_with_done(content: bytes) -> bool:
    """Return whether a stream ends as those of OpenAI's APIs do."""
    return content.endswith(b"data: [DONE]\n\n")
