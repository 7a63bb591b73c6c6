"""Hold a conversation as a client of each API does: through the vendor's SDK, which keeps its own answers unchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import openai

from tests.conftest import Stack
from tests.router_service.conversation.spoken.spoken_format import SYSTEM, Place

BUDGET = 1024
LIMIT = 4000


@dataclass(frozen=True)
class Seen:
    """Hold what the client saw of an answer: its id, its text, and its calls as (id, name, arguments)."""

    generation: str
    text: str
    calls: list[tuple[str, str, Any]]


@dataclass(frozen=True)
class ToolOutput:
    """Hold what a tool returns: text, an image as base64, or both; ``failed`` where the API can say so."""

    text: str = ""
    image: str | None = None
    failed: bool = False


class Driver(Protocol):
    """Hold one conversation. The client is open until it is closed."""

    @property
    def client(self) -> anthropic.Anthropic | openai.OpenAI: ...

    def say(self, text: str, image: str | None = None) -> None:
        """Append a turn of the user."""

    def give(self, outputs: Sequence[ToolOutput], note: str | None = None) -> None:
        """Append the results of the calls of the last answer, in their order, and a note of the user."""

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        """Send the conversation, and append the answer."""


@dataclass
class MessagesDriver:
    """Use ``/v1/messages`` through the Anthropic SDK."""

    client: anthropic.Anthropic
    tools: Sequence[tuple[str, dict[str, Any]]]
    messages: list[Any] = field(default_factory=list)

    @classmethod
    def at(cls, stack: Stack, tools: Sequence[tuple[str, dict[str, Any]]]) -> MessagesDriver:
        return cls(anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0), tools)

    def say(self, text: str, image: str | None = None) -> None:
        shown = [] if image is None else [_image_block(image)]
        self.messages.append({"role": "user", "content": [*shown, {"type": "text", "text": text}]})

    def give(self, outputs: Sequence[ToolOutput], note: str | None = None) -> None:
        calls = [block for block in self.messages[-1]["content"] if block.type == "tool_use"]
        content = [_result_block(call.id, output) for call, output in zip(calls, outputs, strict=True)]
        noted = [] if note is None else [{"type": "text", "text": note}]
        self.messages.append({"role": "user", "content": content + noted})

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        asked: dict[str, Any] = {
            "model": place.model,
            "max_tokens": LIMIT,
            "system": SYSTEM,
            "messages": self.messages,
            "tools": [{"name": name, "input_schema": schema} for name, schema in self.tools],
            "extra_body": {"provider": {"only": [place.provider]}},
        }
        if thinks:
            asked["thinking"] = {"type": "enabled", "budget_tokens": BUDGET}
        message: Any
        if stream:
            with self.client.messages.stream(**asked) as events:
                message = events.get_final_message()
        else:
            message = self.client.messages.create(**asked)
        self.messages.append({"role": "assistant", "content": message.content})
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
        assert message.stop_reason == ("tool_use" if calls else "end_turn")
        return Seen("gen-" + message.id.removeprefix("msg_").replace("_", "-"), text, calls)


@dataclass
class ChatDriver:
    """Use ``/v1/chat/completions`` through the OpenAI SDK."""

    client: openai.OpenAI
    tools: Sequence[tuple[str, dict[str, Any]]]
    messages: list[Any] = field(default_factory=lambda: [{"role": "system", "content": SYSTEM}])

    @classmethod
    def at(cls, stack: Stack, tools: Sequence[tuple[str, dict[str, Any]]]) -> ChatDriver:
        return cls(openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0), tools)

    def say(self, text: str, image: str | None = None) -> None:
        shown = [] if image is None else [_image_part(image)]
        self.messages.append({"role": "user", "content": [*shown, {"type": "text", "text": text}]})

    def give(self, outputs: Sequence[ToolOutput], note: str | None = None) -> None:
        calls = self.messages[-1]["tool_calls"]
        for call, output in zip(calls, outputs, strict=True):
            content = [{"type": "text", "text": output.text}] if output.text else []
            content += [] if output.image is None else [_image_part(output.image)]
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        if note is not None:
            self.messages.append({"role": "user", "content": note})

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        extra: dict[str, Any] = {"provider": {"only": [place.provider]}}
        if thinks:
            extra["reasoning"] = {"max_tokens": BUDGET}
        asked: dict[str, Any] = {
            "model": place.model,
            "max_tokens": LIMIT,
            "messages": self.messages,
            "tools": [{"type": "function", "function": {"name": n, "parameters": s}} for n, s in self.tools],
            "extra_body": extra,
        }
        answer: Any
        if stream:
            with self.client.chat.completions.stream(**asked) as events:
                answer = events.get_final_completion()
        else:
            answer = self.client.chat.completions.create(**asked)
        choice = answer.choices[0]
        # The SDK adds fields of its own to what it has parsed from a stream, and its guides leave them out.
        message = choice.message.model_dump(exclude_none=True, exclude={"parsed": True})
        for call in message.get("tool_calls") or ():
            call["function"].pop("parsed_arguments", None)
            call.pop("index", None)
        self.messages.append(message)
        calls = message.get("tool_calls") or []
        assert choice.finish_reason == ("tool_calls" if calls else "stop")
        seen = [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
        return Seen(answer.id, message.get("content") or "", seen)


@dataclass
class ResponsesDriver:
    """Use ``/v1/responses`` through the OpenAI SDK."""

    client: openai.OpenAI
    tools: Sequence[tuple[str, dict[str, Any]]]
    items: list[Any] = field(default_factory=list)

    @classmethod
    def at(cls, stack: Stack, tools: Sequence[tuple[str, dict[str, Any]]]) -> ResponsesDriver:
        return cls(openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0), tools)

    def say(self, text: str, image: str | None = None) -> None:
        shown = [] if image is None else [_input_image(image)]
        self.items.append({"role": "user", "content": [*shown, {"type": "input_text", "text": text}]})

    def give(self, outputs: Sequence[ToolOutput], note: str | None = None) -> None:
        # The items of the last answer are at the end, so its calls are the last ones.
        calls = [item for item in self.items if item.get("type") == "function_call"][-len(outputs) :]
        for call, output in zip(calls, outputs, strict=True):
            content = [{"type": "input_text", "text": output.text}] if output.text else []
            content += [] if output.image is None else [_input_image(output.image)]
            given = {"type": "function_call_output", "call_id": call["call_id"], "output": content or ""}
            self.items.append(given)
        if note is not None:
            self.items.append({"role": "user", "content": note})

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        extra: dict[str, Any] = {"provider": {"only": [place.provider]}}
        if thinks:
            extra["reasoning"] = {"max_tokens": BUDGET}
        asked: dict[str, Any] = {
            "model": place.model,
            "max_output_tokens": LIMIT,
            "instructions": SYSTEM,
            "input": self.items,
            "tools": [
                {"type": "function", "name": name, "parameters": schema, "strict": False} for name, schema in self.tools
            ],
            "extra_body": extra,
        }
        answer: Any
        if stream:
            with self.client.responses.stream(**asked) as events:
                answer = events.get_final_response()
        else:
            answer = self.client.responses.create(**asked)
        assert answer.status == "completed"
        # The SDK's guides send the items of an answer back as they are.
        self.items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output]
        calls = [item for item in answer.output if item.type == "function_call"]
        seen = [(call.call_id, call.name, json.loads(call.arguments)) for call in calls]
        return Seen("gen-" + answer.id.removeprefix("resp_").replace("_", "-"), answer.output_text, seen)


@dataclass
class CompletionsDriver:
    """Use ``/v1/completions`` through the OpenAI SDK: the conversation is the text of a prompt, and has no tools."""

    client: openai.OpenAI
    prompt: str = f"{SYSTEM}\n"

    @classmethod
    def at(cls, stack: Stack) -> CompletionsDriver:
        return cls(openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0))

    def say(self, text: str) -> None:
        """Append a turn of the user."""
        self.prompt += f"User: {text}\nPilot: "

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        """Send the prompt, and append the answer."""
        extra: dict[str, Any] = {"provider": {"only": [place.provider]}}
        if thinks:
            extra["reasoning"] = {"max_tokens": BUDGET}
        asked: dict[str, Any] = {"model": place.model, "max_tokens": LIMIT, "prompt": self.prompt, "extra_body": extra}
        if stream:
            chunks = list(self.client.completions.create(**asked, stream=True))
            generation, choices = chunks[0].id, [choice for chunk in chunks for choice in chunk.choices]
        else:
            answer = self.client.completions.create(**asked)
            generation, choices = answer.id, answer.choices
        assert choices[-1].finish_reason == "stop"
        text = "".join(choice.text for choice in choices)
        self.prompt += f"{text}\n"
        return Seen(generation, text, [])


def _input_image(data: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": f"data:image/png;base64,{data}", "detail": "auto"}


def _image_block(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def _result_block(call_id: str, output: ToolOutput) -> dict[str, Any]:
    content = [{"type": "text", "text": output.text}] if output.text else []
    content += [] if output.image is None else [_image_block(output.image)]
    failed = {"is_error": True} if output.failed else {}
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **failed}


def _image_part(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
