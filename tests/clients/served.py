"""Describe the market that the clients are tried on: a router in front of a lab that is strict."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from tests.conftest import Stack

MODELS = {"anthropic_messages": "anthropic/claude-sonnet-4.5", "openai_chat": "openai/gpt-5-mini"}
# A model of each of the three wire formats that the responses API is tried in front of.
RESPONSES_MODELS = MODELS | {"openai_responses": "openai/gpt-5.2-codex"}
# Models that show what they think; the chat completions of OpenAI have no field for it.
THINKING_MODELS = MODELS | {"openai_chat": "deepseek/deepseek-v4-flash"}
PNG_BYTES = b"\x89PNG\r\n\x1a\n and the rest"
PNG = base64.b64encode(PNG_BYTES).decode()
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
PDF = base64.b64encode(b"%PDF-1.7\n% an empty document\n%%EOF\n").decode()


@dataclass(frozen=True)
class ServedModel:
    """Name a ``model`` whose endpoints all have ``wire_format``, and the router that serves it."""

    stack: Stack
    wire_format: str
    model: str

    @property
    def shows_thinking(self) -> bool:
        """Return true if the wire format has a field for thinking; chat completions of OpenAI have none."""
        return self.wire_format != "openai_chat"

    def environment(self) -> dict[str, str]:
        """Return the variables by which the scripts in ``node/`` find the router."""
        return {"PORTOLAN_URL": self.stack.url, "PORTOLAN_KEY": self.stack.key, "PORTOLAN_MODEL": self.model}

    def check_calls(self) -> None:
        """Assert that the lab was called, in the wire format alone, and refused nothing."""
        endpoints = {one.id: one for offers in self.stack.services.catalogue.endpoints.values() for one in offers}
        assert not self.stack.lab.refused
        assert self.stack.lab.calls
        assert {endpoints[name].wire_format for name in self.stack.lab.calls} == {self.wire_format}


def asking(scenario: str) -> str:
    """Return a prompt that asks the lab for ``scenario``."""
    return f"What does the pilot say? [lab:scenario={scenario}]"


def saying(text: str) -> str:
    """Return a prompt to which the lab says ``text``."""
    return asking(f"say:{base64.urlsafe_b64encode(text.encode()).decode()}")


def calling(*calls: tuple[str, dict[str, Any]]) -> str:
    """Return a prompt with which the lab makes ``calls``, one a turn."""
    return asking(f"named_calls:{base64.urlsafe_b64encode(json.dumps(calls).encode()).decode()}")
