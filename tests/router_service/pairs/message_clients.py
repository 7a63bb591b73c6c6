"""Speak the messages and the responses API, whose streams are typed events."""

from __future__ import annotations

import json
from typing import Any

import anthropic
from openai.types.responses import Response

from tests.router_service.api.skins.responses.responses_grammar import check_stream
from tests.router_service.conversation.spoken.anthropic_messages import streamed_blocks
from tests.router_service.pairs.skin_client import (
    CUSTOM_NAME,
    LIMIT,
    OUTPUT_SCHEMA,
    TOOL_SCHEMA,
    PairRequest,
    SeenAnswer,
    event_data,
)

BUDGET = 1024
# Types of the messages API's errors, by the router's own.
MESSAGES_TYPES = {
    "invalid_request": "invalid_request_error",
    "rate_limit_exceeded": "rate_limit_error",
    "provider_unavailable": "api_error",
    "provider_overloaded": "overloaded_error",
}
RESPONSES_TYPES = {
    "invalid_request": "invalid_request_error",
    "rate_limit_exceeded": "rate_limit_error",
    "provider_unavailable": "server_error",
    "provider_overloaded": "server_error",
}


class MessagesClient:
    """Speak ``/v1/messages``."""

    name, path = "messages", "/v1/messages"
    complete, called = "end_turn", "tool_use"

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []

    def say(self, text: str, image: str | None = None) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": image}
        shown = [{"type": "image", "source": source}] if image else []
        self._messages.append({"role": "user", "content": [*shown, {"type": "text", "text": text}]})

    def keep(self, seen: SeenAnswer) -> None:
        self._messages.append({"role": "assistant", "content": seen.turn})

    def body(self, model: str, asked: PairRequest) -> dict[str, Any]:
        found: dict[str, Any] = {"model": model, "messages": self._messages, "max_tokens": LIMIT}
        found["stream"] = asked.stream
        if asked.tools:
            tools = [{"name": name, "description": "A tool", "input_schema": TOOL_SCHEMA} for name in asked.tools]
            found["tools"] = tools
        if asked.custom:
            found["tools"] = [{"type": "custom", "name": CUSTOM_NAME, "description": "Write into the log"}]
        if asked.schema:
            found["output_config"] = {"format": {"type": "json_schema", "schema": OUTPUT_SCHEMA}}
        if asked.reasoning:
            found["thinking"] = {"type": "enabled", "budget_tokens": BUDGET}
        if asked.cached:
            found["cache_control"] = {"type": "ephemeral"}
        return found

    def read(self, answer: dict[str, Any]) -> SeenAnswer:
        anthropic.types.Message.model_validate(answer)
        assert (answer["type"], answer["role"]) == ("message", "assistant")
        return _seen_blocks(answer["content"], answer["stop_reason"], answer["usage"])

    def read_stream(self, content: bytes) -> SeenAnswer:
        events = event_data(content)
        kinds = [event["type"] for event in events]
        texts = [event["delta"]["text"] for event in events if event.get("delta", {}).get("type") == "text_delta"]
        if kinds[-1] == "error":
            assert kinds.count("error") == 1 and "message_stop" not in kinds and "message_delta" not in kinds
            return SeenAnswer(text="".join(texts), error=events[-1])
        assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
        blocks = streamed_blocks(content)
        begun, ended = events[0]["message"], events[-2]
        seen = _seen_blocks(blocks, ended["delta"]["stop_reason"], begun["usage"] | ended["usage"])
        seen.pieces = len(texts)
        return seen

    def check_error(self, status: int, body: dict[str, Any], kind: str) -> None:
        assert (body["type"], body["error"]["type"]) == ("error", MESSAGES_TYPES[kind])
        assert body["error"]["message"] and body["request_id"]

    def text_in(self, line: str) -> bool:
        return line.startswith("data: ") and json.loads(line[6:]).get("delta", {}).get("type") == "text_delta"


def _seen_blocks(blocks: list[dict[str, Any]], stop: str | None, usage: dict[str, Any]) -> SeenAnswer:
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    thought = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    seen = SeenAnswer(text, thought, calls, stop, turn=blocks)
    seen.cached = usage["cache_read_input_tokens"] or 0
    seen.prompt = usage["input_tokens"] + seen.cached + (usage["cache_creation_input_tokens"] or 0)
    seen.completion = usage["output_tokens"]
    seen.reasoned = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return seen


class ResponsesClient:
    """Speak ``/v1/responses``."""

    name, path = "responses", "/v1/responses"
    complete, called = "completed", "completed"

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []

    def say(self, text: str, image: str | None = None) -> None:
        url = f"data:image/png;base64,{image}"
        shown = [{"type": "input_image", "image_url": url, "detail": "auto"}] if image else []
        self._items.append({"role": "user", "content": [*shown, {"type": "input_text", "text": text}]})

    def keep(self, seen: SeenAnswer) -> None:
        self._items += seen.turn

    def body(self, model: str, asked: PairRequest) -> dict[str, Any]:
        found: dict[str, Any] = {"model": model, "input": self._items, "max_output_tokens": LIMIT}
        found["stream"] = asked.stream
        if asked.tools:
            common = {"type": "function", "description": "A tool", "parameters": TOOL_SCHEMA, "strict": True}
            found["tools"] = [common | {"name": name} for name in asked.tools]
        if asked.custom:
            found["tools"] = [{"type": "custom", "name": CUSTOM_NAME, "description": "Write into the log"}]
        if asked.schema:
            form = {"type": "json_schema", "name": "harbour", "strict": True, "schema": OUTPUT_SCHEMA}
            found["text"] = {"format": form}
        if asked.reasoning:
            found["reasoning"] = {"effort": "low", "summary": "auto"}
        if asked.cached:
            found["cache_control"] = {"type": "ephemeral"}
        return found

    def read(self, answer: dict[str, Any]) -> SeenAnswer:
        Response.model_validate(answer)
        assert answer["object"] == "response"
        found = SeenAnswer(finish=answer["status"], turn=answer["output"])
        for item in answer["output"]:
            if item["type"] == "message":
                found.text += "".join(part["text"] for part in item["content"])
            elif item["type"] == "function_call":
                found.calls.append((item["name"], json.loads(item["arguments"])))
            elif item["type"] == "custom_tool_call":
                found.calls.append((item["name"], item["input"]))
            elif item["type"] == "reasoning":
                found.reasoning += "".join(part["text"] for part in [*item["summary"], *item.get("content", ())])
        if usage := answer["usage"]:
            found.prompt, found.completion = usage["input_tokens"], usage["output_tokens"]
            found.cached = usage["input_tokens_details"]["cached_tokens"]
            found.reasoned = usage["output_tokens_details"]["reasoning_tokens"]
        return found

    def read_stream(self, content: bytes) -> SeenAnswer:
        events = check_stream(content)
        seen = self.read(events[-1]["response"])
        texts = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        assert seen.text == "".join(texts)
        seen.pieces = len(texts)
        seen.error = next((event for event in events if event["type"] == "error"), None)
        assert (events[-1]["type"] == "response.failed") == (seen.error is not None)
        return seen

    def check_error(self, status: int, body: dict[str, Any], kind: str) -> None:
        if body.get("type") == "error":
            assert body["code"] == RESPONSES_TYPES[kind] and body["message"]
            return
        error = body["error"]
        assert (body["status"], body["error_type"], error["code"]) == ("failed", kind, status)
        assert error["type"] == RESPONSES_TYPES[kind] and error["message"] and body["id"].startswith("resp_")

    def text_in(self, line: str) -> bool:
        return line == "event: response.output_text.delta"
