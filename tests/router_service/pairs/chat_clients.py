"""Speak chat completions and legacy completions, whose streams are chunks."""

from __future__ import annotations

import json
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.router_service.pairs.skin_client import (
    CUSTOM_NAME,
    LIMIT,
    OUTPUT_SCHEMA,
    TOOL_SCHEMA,
    PairRequest,
    SeenAnswer,
    ends_with_done,
    event_data,
)


class ChunkErrors:
    """Check the errors that both APIs have in common."""

    def check_error(self, status: int, body: dict[str, Any], kind: str) -> None:
        error = body["error"]
        assert (error["code"], error["metadata"]["error_type"]) == (status, kind)
        assert error["message"]


class ChatClient(ChunkErrors):
    """Speak ``/v1/chat/completions``."""

    name, path = "chat", "/v1/chat/completions"
    complete, called = "stop", "tool_calls"

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []

    def say(self, text: str, image: str | None = None) -> None:
        shown = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}] if image else []
        self._messages.append({"role": "user", "content": [*shown, {"type": "text", "text": text}]})

    def keep(self, seen: SeenAnswer) -> None:
        self._messages.append(seen.turn)

    def body(self, model: str, asked: PairRequest) -> dict[str, Any]:
        found: dict[str, Any] = {"model": model, "messages": self._messages, "max_tokens": LIMIT}
        return found | {"stream": asked.stream} | chat_options(asked)

    def read(self, answer: dict[str, Any]) -> SeenAnswer:
        ChatCompletion.model_validate(answer)
        assert answer["object"] == "chat.completion"
        (choice,) = answer["choices"]
        return _seen(choice["message"], choice["finish_reason"], answer["usage"])

    def read_stream(self, content: bytes) -> SeenAnswer:
        assert ends_with_done(content)
        chunks = event_data(content)
        error = next((chunk for chunk in chunks if "error" in chunk), None)
        custom = _custom_calls(chunks)
        state = ChatCompletionStreamState()
        for chunk in chunks:
            assert chunk["object"] == "chat.completion.chunk"
            if error is None and not custom:
                state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
        texts = [one["delta"].get("content") for chunk in chunks for one in chunk["choices"]]
        texts = [text for text in texts if text]
        if error is not None:
            assert "error" in chunks[-1] and chunks[-1]["choices"][0]["finish_reason"] == "error"
            return SeenAnswer(text="".join(texts), error=error, finish="error")
        if custom:
            # The SDK has no type for pieces of custom calls.
            finish = next(one["finish_reason"] for chunk in chunks for one in chunk["choices"] if one["finish_reason"])
            seen = _seen({"tool_calls": custom}, finish, chunks[-1]["usage"])
            seen.text = "".join(texts)
            return seen
        whole = state.get_final_completion().choices[0]
        # The SDK adds fields of its own to what it has parsed from a stream, and its guides leave them out.
        message = whole.message.model_dump(exclude_none=True, exclude={"parsed": True})
        for call in message.get("tool_calls") or ():
            call.get("function", {}).pop("parsed_arguments", None)
            call.pop("index", None)
        seen = _seen(message, whole.finish_reason, chunks[-1]["usage"])
        seen.pieces = len(texts)
        return seen

    def text_in(self, line: str) -> bool:
        return line.startswith("data: {") and bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))


def _custom_calls(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls of custom tools, whose text comes in pieces."""
    found: dict[int, dict[str, Any]] = {}
    for piece in (call for chunk in chunks for one in chunk["choices"] for call in one["delta"].get("tool_calls", ())):
        if "custom" in piece:
            call = found.setdefault(piece["index"], {"type": piece.get("type"), "custom": {"name": "", "input": ""}})
            for name in call["custom"]:
                call["custom"][name] += piece["custom"].get(name) or ""
    return list(found.values())


def chat_options(asked: PairRequest) -> dict[str, Any]:
    """Return the fields by which both APIs ask for more than text, if they can."""
    found: dict[str, Any] = {}
    if asked.tools:
        functions = [{"name": name, "description": "A tool", "parameters": TOOL_SCHEMA} for name in asked.tools]
        found["tools"] = [{"type": "function", "function": function} for function in functions]
    if asked.custom:
        found["tools"] = [{"type": "custom", "custom": {"name": CUSTOM_NAME, "description": "Write into the log"}}]
    if asked.schema:
        form = {"name": "harbour", "strict": True, "schema": OUTPUT_SCHEMA}
        found["response_format"] = {"type": "json_schema", "json_schema": form}
    if asked.reasoning:
        found["reasoning"] = {"effort": "low"}
    if asked.cached:
        found["cache_control"] = {"type": "ephemeral"}
    return found


def _seen(message: dict[str, Any], finish: str | None, usage: dict[str, Any]) -> SeenAnswer:
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    seen = _counted(SeenAnswer(message.get("content") or "", message.get("reasoning") or "", calls, finish), usage)
    seen.turn = message
    return seen


def _counted(seen: SeenAnswer, usage: dict[str, Any]) -> SeenAnswer:
    seen.prompt, seen.completion = usage["prompt_tokens"], usage["completion_tokens"]
    seen.cached = usage["prompt_tokens_details"]["cached_tokens"]
    seen.reasoned = usage["completion_tokens_details"]["reasoning_tokens"]
    return seen


def _call(call: dict[str, Any]) -> tuple[str, Any]:
    if call["type"] == "custom":
        return call["custom"]["name"], call["custom"]["input"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])


class CompletionsClient(ChunkErrors):
    """Speak ``/v1/completions``. A prompt has no turns: the conversation is one text."""

    name, path = "completions", "/v1/completions"
    complete, called = "stop", "stop"

    def __init__(self) -> None:
        self._prompt: Any = ""

    def say(self, text: str, image: str | None = None) -> None:
        if image is not None:
            self._prompt = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}, text]
        else:
            self._prompt += f"User: {text}\n"

    def keep(self, seen: SeenAnswer) -> None:
        self._prompt += f"Assistant: {seen.turn}\n"

    def body(self, model: str, asked: PairRequest) -> dict[str, Any]:
        found: dict[str, Any] = {"model": model, "prompt": self._prompt, "max_tokens": LIMIT}
        return found | {"stream": asked.stream} | chat_options(asked)

    def read(self, answer: dict[str, Any]) -> SeenAnswer:
        Completion.model_validate(answer)
        assert answer["object"] == "text_completion"
        (choice,) = answer["choices"]
        seen = SeenAnswer(choice["text"], choice.get("reasoning") or "", [], choice["finish_reason"])
        seen.turn = choice["text"]
        return _counted(seen, answer["usage"])

    def read_stream(self, content: bytes) -> SeenAnswer:
        assert ends_with_done(content)
        chunks = event_data(content)
        assert all(chunk["object"] == "text_completion" for chunk in chunks)
        choices = [one for chunk in chunks for one in chunk["choices"]]
        texts = [one["text"] for one in choices if one["text"]]
        seen = SeenAnswer("".join(texts), "".join(one.get("reasoning", "") for one in choices), pieces=len(texts))
        seen.finish = next((one["finish_reason"] for one in choices if one["finish_reason"]), None)
        seen.turn = seen.text
        seen.error = chunks[-1] if "error" in chunks[-1] else None
        assert (seen.error is None) == (seen.finish != "error")
        return seen if seen.error is not None else _counted(seen, chunks[-1]["usage"])

    def text_in(self, line: str) -> bool:
        return line.startswith("data: {") and bool(json.loads(line[6:])["choices"][0]["text"])
