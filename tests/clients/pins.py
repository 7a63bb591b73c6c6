"""Name the clients that are tried, and the files that pin their versions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.clients import node_clients, python_clients
from tests.running import ROOT

PROJECT = ROOT / "requirements.lock"
NODE = node_clients.SOURCES / "package.json"


@dataclass(frozen=True)
class PinnedClient:
    """Name a client's package and the file that has its version."""

    package: str
    pins: Path


def _apart(name: str) -> Path:
    return python_clients.SOURCES / f"{name}.txt"


CLIENTS = {
    "openai for Python": PinnedClient("openai", PROJECT),
    "openai for Node": PinnedClient("openai", NODE),
    "openrouter for Python": PinnedClient("openrouter", PROJECT),
    "@openrouter/sdk": PinnedClient("@openrouter/sdk", NODE),
    "@openrouter/ai-sdk-provider": PinnedClient("@openrouter/ai-sdk-provider", NODE),
    "@ai-sdk/openai": PinnedClient("@ai-sdk/openai", NODE),
    "@ai-sdk/openai-compatible": PinnedClient("@ai-sdk/openai-compatible", NODE),
    "langchain-openai": PinnedClient("langchain-openai", _apart("langchain")),
    "litellm": PinnedClient("litellm", _apart("litellm")),
    "instructor": PinnedClient("instructor", _apart("instructor")),
    "pydantic-ai-slim": PinnedClient("pydantic-ai-slim", PROJECT),
    "opencode": PinnedClient("opencode-linux-x64", NODE),
    "aider": PinnedClient("aider-chat", _apart("aider")),
    "anthropic for Python": PinnedClient("anthropic", PROJECT),
    "@anthropic-ai/sdk": PinnedClient("@anthropic-ai/sdk", NODE),
    "@ai-sdk/anthropic": PinnedClient("@ai-sdk/anthropic", NODE),
    "@openai/codex": PinnedClient("@openai/codex", NODE),
    "@anthropic-ai/claude-code": PinnedClient("@anthropic-ai/claude-code", NODE),
}


def version(name: str) -> str:
    """Return the pinned version of a client."""
    client = CLIENTS[name]
    text = client.pins.read_text()
    if client.pins.suffix == ".json":
        pinned = json.loads(text)
        return str((pinned["dependencies"] | pinned["optionalDependencies"])[client.package])
    match = re.search(rf"^{re.escape(client.package)}==(\S+)", text, re.MULTILINE)
    assert match, f"{client.pins.name} does not pin {client.package}"
    return match[1]
