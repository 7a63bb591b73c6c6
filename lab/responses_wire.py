"""Implement the provider's side of OpenAI's Responses API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.conversation import Conversation
from lab.openai_errors import OpenAIErrors
from lab.prefixes import Prefixes
from lab.responses_conversation import input_items, read_responses, text_parts
from lab.responses_ids import ItemSeals
from lab.responses_refusals import refuse_responses
from lab.responses_script import ResponseScript, unsaid_in_responses
from lab.script import Ending, Script
from lab.scripted_wire import ScriptedWire
from lab.text import Ask, Completion, characters


class ResponsesWire(OpenAIErrors, ScriptedWire):
    """Implement ``Wire``. Every prompt is cached, and nothing is stored: items are known by their seals.

    ``seed`` determines the key of the ids and of encrypted reasoning.
    """

    endings: Mapping[str, Ending] = {"refusal": "filtered", "error": "failed"}
    turns = "input"
    runs_tools = True

    def __init__(self, seed: int = 7) -> None:
        self._prefixes = Prefixes()
        self._seals = ItemSeals(seed)

    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion:
        """Return ``completion`` with the prompt tokens that were read from the endpoint's cache."""
        turns = [{"content": body.get("instructions")}, *input_items(body)]
        known = self._prefixes.read(endpoint, turns)
        return replace(completion, cached_tokens=min(known, completion.prompt_tokens))

    def read(self, body: dict[str, Any]) -> Ask:
        items = input_items(body)
        size = characters(body.get("instructions")) + sum(
            characters(text_parts(item.get("content") or item.get("output"))) for item in items
        )
        answered = bool(items) and str(items[-1].get("type")).endswith("_call_output")
        tools = () if answered else read_responses(body).tools
        return Ask(size, body.get("max_output_tokens"), tools[0].name if tools else None)

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        refuse_responses(body, headers, self._seals)

    def converse(self, body: dict[str, Any]) -> Conversation:
        return read_responses(body)

    def unsaid(self, script: Script) -> str | None:
        return unsaid_in_responses(script)

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return ResponseScript(scripts[0], completion, body, self._seals).response()

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return ResponseScript(scripts[0], completion, body, self._seals).events()

    def error_event(self, request_id: str, number: int) -> bytes:
        refused = self.failure(500)
        event = {"type": "error", "code": refused.kind, "message": refused.message, "param": None}
        return f"event: error\ndata: {json.dumps(event | {'sequence_number': number})}\n\n".encode()
