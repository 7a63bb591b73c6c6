"""Fit the names and ids of tools to what a format accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Set

from router_service.core.generation import Tool

_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]")
_NO_IDENTIFIER = re.compile(r"[^a-zA-Z0-9_]|^(?=[0-9])")


def fitted_name(name: str, limit: int, taken: Set[str], *, identifier: bool = False) -> str:
    """Return ``name`` such that it matches ``[a-zA-Z0-9_-]`` up to ``limit`` times and is none of ``taken``.

    An ``identifier`` has no hyphen and does not begin with a digit.

    The result depends on the arguments alone. A changed name ends in a digest, so that two names stay two.
    """
    plain = (_NO_IDENTIFIER if identifier else _FORBIDDEN).sub("_", name)
    if plain == name and 0 < len(name) <= limit and name not in taken:
        return name
    for number in range(len(taken) + 1):
        digest = hashlib.sha256(f"{number} {name}".encode(errors="replace")).hexdigest()[:12]
        found = f"{plain[: limit - 13]}_{digest}"
        if found not in taken:
            break
    return found


class ToolNames:
    """Fit the names of tools to ``limit`` characters, the same way where they are offered and where they are called.

    ``custom`` are the names, as sent, of the custom tools. ``identifiers`` is as for ``fitted_name``.
    """

    def __init__(self, tools: Iterable[Tool], limit: int, *, identifiers: bool = False) -> None:
        self._limit = limit
        self._identifiers = identifiers
        self._sent: dict[str, str] = {}
        self._taken: set[str] = set()
        kinds = {tool.name: tool.kind for tool in tools if tool.kind != "hosted"}
        # Names that need no change come first, so that a changed one never takes the place of a client's own.
        for name in sorted(kinds, key=lambda name: self._fitted(name, set()) != name):
            self.sent(name)
        self.custom = frozenset(self._sent[name] for name, kind in kinds.items() if kind == "custom")

    def sent(self, name: str) -> str:
        """Return ``name`` as it is sent."""
        if name not in self._sent:
            self._sent[name] = self.unused(name)
        return self._sent[name]

    def unused(self, name: str) -> str:
        """Return a name like ``name`` that no tool has, and take it."""
        found = self._fitted(name, self._taken)
        self._taken.add(found)
        return found

    def _fitted(self, name: str, taken: Set[str]) -> str:
        return fitted_name(name, self._limit, taken, identifier=self._identifiers)

    def changed(self) -> dict[str, str]:
        """Return the client's name of each tool that is sent under another."""
        return {sent: name for name, sent in self._sent.items() if sent != name}
