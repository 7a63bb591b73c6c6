"""Implement the provider's side of Google's generateContent API."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.conversation import Conversation
from lab.gemini_caches import CACHE_HOLDS, HELD, CachedPrompts
from lab.gemini_conversation import content_characters, is_answered, read_contents
from lab.gemini_errors import GeminiErrors
from lab.gemini_refusals import refuse_generation
from lab.gemini_script import ContentScript, unsaid_in_contents
from lab.prefixes import Prefixes
from lab.script import Ending, Script
from lab.scripted_wire import ScriptedWire
from lab.shapes import RequestRefused
from lab.signatures import Signatures
from lab.text import Ask, Completion


class GeminiWire(GeminiErrors, ScriptedWire):
    """Implement ``Wire``. What prompts have in common is cached without being asked for, others by name in ``caches``.

    ``seed`` determines the key that signs parts. ``model`` is that of the address, and ``is_vertex`` says whether the
    address is one of Vertex AI, where a bearer token has been checked. ``project`` is whose caches may be named.
    """

    endings: Mapping[str, Ending] = {"refusal": "filtered", "error": "refusal"}
    turns = "contents"
    runs_tools = False

    def __init__(self, seed: int = 7) -> None:
        self._prefixes = Prefixes()
        self._signatures = Signatures(seed)
        self.caches = CachedPrompts()
        self.model = self.project = ""
        self.is_vertex = False

    def at(self, model: str, project: str = "", *, is_vertex: bool = False) -> GeminiWire:
        """Return the same wire for requests to the address of ``model``."""
        found = copy.copy(self)
        found.model, found.project, found.is_vertex = model, project, is_vertex
        return found

    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion:
        """Return ``completion`` with the prompt tokens that were read from the endpoint's cache."""
        if "cachedContent" in body:
            held = self.caches.named_for(self.project, body["cachedContent"], self.model)
            return replace(completion, cached_tokens=min(held.tokens, completion.prompt_tokens))
        turns = [body.get("systemInstruction") or {}, *body["contents"]]
        known = self._prefixes.read(endpoint, [{"content": turn.get("parts")} for turn in turns])
        return replace(completion, cached_tokens=min(known, completion.prompt_tokens))

    def read(self, body: dict[str, Any]) -> Ask:
        body = self._whole(body)
        tools = () if is_answered(body) else read_contents(body).tools
        limit = (body.get("generationConfig") or {}).get("maxOutputTokens")
        return Ask(content_characters(body), limit, tools[0].name if tools else None)

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        if body.get("cachedContent") and any(body.get(name) for name in HELD):
            raise RequestRefused(CACHE_HOLDS)
        refuse_generation(self._whole(body), self.model, headers, self._signatures, vertex=self.is_vertex)

    def converse(self, body: dict[str, Any]) -> Conversation:
        return read_contents(self._whole(body))

    def unsaid(self, script: Script) -> str | None:
        return unsaid_in_contents(script)

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return ContentScript(scripts[0], completion, self._whole(body), self._signatures).response()

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return ContentScript(scripts[0], completion, self._whole(body), self._signatures).events()

    def error_event(self, request_id: str, number: int) -> bytes:
        return b"data: " + json.dumps(self.envelope(self.failure(503), request_id)).encode() + b"\r\n\r\n"

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the request with the prompt of the cache that it names before its own contents.

        Raises ``RequestRefused`` for a cache that it may not name.
        """
        if not isinstance(body.get("cachedContent"), str):
            return body
        held = self.caches.named_for(self.project, body["cachedContent"], self.model).prompt
        return body | held | {"contents": [*held.get("contents", ()), *(body.get("contents") or ())]}
