"""Implement the provider's side of Amazon Bedrock's Converse API."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.bedrock_conversation import converse_characters, is_answered, read_converse
from lab.bedrock_errors import AmazonErrors
from lab.bedrock_refusals import refuse_converse
from lab.bedrock_script import ConverseScript, unsaid_in_converse
from lab.conversation import Conversation
from lab.prefixes import MIN_TOKENS, Prefixes
from lab.script import Ending, Script
from lab.scripted_wire import ScriptedWire
from lab.signatures import Signatures
from lab.text import Ask, Completion


class BedrockWire(AmazonErrors, ScriptedWire):
    """Implement ``Wire``. A prompt is cached where it is marked.

    ``seed`` determines the key that
    signs reasoning; ``model`` is that of the address.
    """

    endings: Mapping[str, Ending] = {"refusal": "refusal", "error": "refusal"}
    not_json = "Could not parse request body into json."
    turns = "messages"
    runs_tools = False

    def __init__(self, seed: int = 7) -> None:
        self._prefixes = Prefixes()
        self._signatures = Signatures(seed)
        self.model = ""

    def at(self, model: str) -> BedrockWire:
        """Return the same wire for requests to the address of ``model``."""
        found = copy.copy(self)
        found.model = model
        return found

    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion:
        """Return ``completion`` with the prompt tokens that were read from and written to the endpoint's cache."""
        if '"cachePoint"' not in json.dumps(body):
            return completion
        turns = [{"content": _unmarked(body.get("system") or [])}]
        turns += [{"content": _unmarked(message["content"])} for message in body["messages"]]
        known = min(self._prefixes.read(endpoint, turns), completion.prompt_tokens)
        written = completion.prompt_tokens - known if completion.prompt_tokens >= MIN_TOKENS else 0
        return replace(completion, cached_tokens=known, cache_write_tokens=written)

    def read(self, body: dict[str, Any]) -> Ask:
        tools = () if is_answered(body) else read_converse(body).tools
        limit = (body.get("inferenceConfig") or {}).get("maxTokens")
        return Ask(converse_characters(body), limit, tools[0].name if tools else None)

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        refuse_converse(body, self.model, self._signatures)

    def converse(self, body: dict[str, Any]) -> Conversation:
        return read_converse(body)

    def unsaid(self, script: Script) -> str | None:
        return unsaid_in_converse(script)

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return ConverseScript(scripts[0], completion, body, self._signatures).response()

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return ConverseScript(scripts[0], completion, body, self._signatures).events()


def _unmarked(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks without the marks, which clients move from turn to turn."""
    return [block for block in blocks if "cachePoint" not in block]
