"""Name what the format's modules share: its dialect, the origin of its parts, and ids and names that it accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Set

from data.catalogue.types import Endpoint
from router_service.core.generation import Tool

DIALECT = "openai_responses"
# The one argument of a function that stands for a custom tool.
CUSTOM_INPUT = "input"
# Longest names that the vendor takes. Source: OpenAI API reference, Create a response; "string too long. Expected a
# string with maximum length 64", in issues of openai-agents-python and vercel/ai.
MAX_TOOL_NAME = 64
MAX_CALL_ID = 64
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]")


def responses_origin_at(endpoint: Endpoint) -> str:
    """Return the origin of the parts that ``endpoint`` makes."""
    return f"{DIALECT}/{endpoint.provider}"


def comes_from(origin: str, endpoint: Endpoint) -> bool:
    """Return whether ``endpoint`` accepts the ids and the encrypted reasoning of ``origin``."""
    own = responses_origin_at(endpoint)
    return origin == own or origin.startswith(f"{own}/")


def fitted_name(name: str, limit: int, taken: Set[str]) -> str:
    """Return ``name`` such that it matches ``[a-zA-Z0-9_-]`` up to ``limit`` times and is none of ``taken``.

    The result depends on the arguments alone. A changed name ends in a digest, so that two names stay two.
    """
    plain = _FORBIDDEN.sub("_", name)
    if plain == name and 0 < len(name) <= limit and name not in taken:
        return name
    for number in range(len(taken) + 1):
        digest = hashlib.sha256(f"{number} {name}".encode(errors="replace")).hexdigest()[:12]
        found = f"{plain[: limit - 13]}_{digest}"
        if found not in taken:
            break
    return found


class SentNames:
    """Fit the names of tools, the same way where they are offered and where the history calls them.

    ``custom`` are the names, as sent, of the custom tools.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._sent: dict[str, str] = {}
        self._taken: set[str] = set()
        kinds = {tool.name: tool.kind for tool in tools if tool.kind != "hosted"}
        # Names that need no change come first, so that a changed one never takes the place of a client's own.
        for name in sorted(kinds, key=lambda name: fitted_name(name, MAX_TOOL_NAME, set()) != name):
            self.sent(name)
        self.custom = frozenset(self._sent[name] for name, kind in kinds.items() if kind == "custom")

    def sent(self, name: str) -> str:
        """Return ``name`` as it is sent."""
        if name not in self._sent:
            self._sent[name] = fitted_name(name, MAX_TOOL_NAME, self._taken)
            self._taken.add(self._sent[name])
        return self._sent[name]

    def changed(self) -> dict[str, str]:
        """Return the client's name of each tool that is sent under another."""
        return {sent: name for name, sent in self._sent.items() if sent != name}
