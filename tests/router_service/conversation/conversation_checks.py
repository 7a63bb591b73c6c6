"""Hold a conversation over providers of several wire formats, and check what reaches each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from router_service.core.origin import PREFIX
from tests.conftest import Stack
from tests.router_service.conversation.drivers import SYSTEM, Driver, Place, Seen, ToolOutput
from tests.router_service.conversation.recording_lab import (
    ANTHROPIC,
    CHAT,
    GEMINI,
    RESPONSES,
    Item,
    LabExchange,
    RecordingLab,
    chat_call,
    item_of,
    part_items,
    sealed_item,
)

SIGNED = ("thinking", "redacted", "sealed", "signed")
# What each format may be sent for the requests of these tests; the router's own fields are none of them.
FIELDS = {
    "anthropic_messages": {"model", "max_tokens", "system", "messages", "tools", "thinking", "output_config", "stream"},
    "openai_chat": {
        "model", "messages", "tools", "max_tokens", "max_completion_tokens", "reasoning_effort", "stream",
        "stream_options", "thinking",
    },
    "openai_responses": {
        "model", "input", "instructions", "tools", "max_output_tokens", "reasoning", "include", "store", "stream",
        "stream_options",
    },
    "gemini": {"contents", "systemInstruction", "tools", "generationConfig"},
}  # fmt: skip
CALL_IDS = {
    "anthropic_messages": re.compile("[a-zA-Z0-9_-]{1,64}"),
    "openai_chat": re.compile(r"[!-~]{1,40}"),
    "openai_responses": re.compile("[a-zA-Z0-9_-]{1,64}"),
}
MISTRAL_ID = re.compile("[a-zA-Z0-9]{9}")


@dataclass
class Received:
    """Hold what a provider was sent, in order, whatever its format."""

    assistant: list[list[Item]] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @property
    def items(self) -> list[Item]:
        return [item for turn in self.assistant for item in turn]

    def kind(self, kind: str) -> list[Item]:
        return [item for item in self.items if item[0] == kind]


@dataclass
class Conversation:
    """Drive one conversation and keep what it consists of, as its user and its providers wrote it."""

    stack: Stack
    lab: RecordingLab
    driver: Driver
    answers: list[tuple[Place, list[Item]]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    outputs: list[ToolOutput] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    pending: bool = False

    def say(self, text: str, image: str | None = None) -> None:
        """Append a turn of the user."""
        self.driver.say(text, image)
        self.said.append(text)
        self.images += [] if image is None else [image]
        self.pending = False

    def give(self, outputs: Sequence[ToolOutput], note: str | None = None) -> None:
        """Append the results of the calls of the last answer."""
        self.driver.give(outputs, note)
        self.outputs += outputs
        self.images += [output.image for output in outputs if output.image is not None]
        self.said += [] if note is None else [note]
        self.pending = True

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        """Send the conversation to ``place``, and check what it was sent, what it answered and what was logged."""
        before = len(self.lab.exchanges)
        seen = self.driver.ask(place, stream=stream, thinks=thinks)
        (exchange,) = self.lab.exchanges[before:]
        assert (exchange.provider, exchange.wire_format) == (place.provider, place.wire_format)
        assert not self.lab.refused
        self._check_request(exchange, place, thinks)
        self._check_record(place, seen, thinks)
        answered = exchange.items()
        assert seen.text == "".join(item[1] for item in answered if item[0] == "text")
        assert [call[1:] for call in seen.calls] == [item[2:] for item in answered if item[0] == "call"]
        self.answers.append((place, answered))
        self.seen.append(seen)
        return seen

    def _check_request(self, exchange: LabExchange, place: Place, thinks: bool) -> None:
        body = exchange.body
        assert body.keys() <= FIELDS[place.wire_format]
        for own in (PREFIX, "reasoning_details", *(seen.generation for seen in self.seen)):
            assert own not in exchange.text
        received = _READERS[place.wire_format](body)
        said = [item for _, items in self.answers for item in items]
        for kind in ("text", "call"):
            wanted = [item[1] if kind == "text" else item[2:] for item in said if item[0] == kind]
            found = [item[1] if kind == "text" else item[2:] for item in received.kind(kind)]
            assert found == wanted if kind == "call" else "".join(found) == "".join(wanted)
        assert received.said == self.said
        assert received.images == self.images
        self._check_ids(received, place)
        own = [items for at, items in self.answers if _is_origin(at, place)]
        wanted = [item for items in own for item in items if item[0] in SIGNED]
        assert [item for item in received.items if item[0] in SIGNED] == wanted
        for items in own:
            if any(item[0] in SIGNED for item in items):
                assert any(_contains(turn, items) for turn in received.assistant)

    def _check_ids(self, received: Received, place: Place) -> None:
        calls = received.kind("call")
        ids = [call[1] for call in calls]
        if place.wire_format == GEMINI:
            # Calls and responses are paired by their order, whether or not they have ids.
            assert list(received.results.values()) == [output.text for output in self.outputs]
            assert len(received.results) == len(ids)
            return
        assert len(set(ids)) == len(ids)
        pattern = MISTRAL_ID if place.provider == "mistral" else CALL_IDS[place.wire_format]
        assert all(pattern.fullmatch(one) for one in ids)
        assert [received.results[one] for one in ids] == [output.text for output in self.outputs]
        assert len(received.results) == len(ids)

    def _check_record(self, place: Place, seen: Seen, thinks: bool) -> None:
        row = self.stack.record(seen.generation)
        assert (row["status"], row["provider"], row["wire_format"]) == (200, place.provider, place.wire_format)
        assert len(row["attempts"]) == 1
        expected, dropped = self._expected_drops(place, thinks), set(row["dropped_parameters"])
        # Reasoning in readable text goes to some providers of the chat format and not to others.
        assert expected <= dropped <= expected | {"reasoning"}

    def _expected_drops(self, place: Place, thinks: bool) -> set[str]:
        signed = [at for at, items in self.answers if any(item[0] in SIGNED for item in items)]
        found = {"reasoning"} if any(not _is_origin(at, place) for at in signed) else set()
        if thinks and place.wire_format not in (ANTHROPIC, GEMINI):
            found.add("reasoning.max_tokens")
        if thinks and place.wire_format == GEMINI and "2.5" not in place.model:
            found.add("reasoning.max_tokens")
        if thinks and place.wire_format == ANTHROPIC and self._cannot_think(place):
            found.add("reasoning")
        return found

    def _cannot_think(self, place: Place) -> bool:
        """Return whether results are pending for a turn that, at ``place``, does not begin with thinking."""
        at, items = self.answers[-1] if self.answers else (place, [])
        return self.pending and not (_is_origin(at, place) and items[0][0] in SIGNED)


def _is_origin(at: Place, place: Place) -> bool:
    """Return whether what ``at`` has signed goes back to ``place``."""
    return at.wire_format == place.wire_format != CHAT and at.provider == place.provider


def _contains(turn: Sequence[Item], items: Sequence[Item]) -> bool:
    return any(list(turn[start : start + len(items)]) == list(items) for start in range(len(turn)))


def _received_messages(body: dict[str, Any]) -> Received:
    found = Received()
    assert [block["text"] for block in body["system"]] == [SYSTEM]
    for message in body["messages"]:
        if message["role"] == "assistant":
            found.assistant.append([item_of(block) for block in message["content"]])
            continue
        for block in message["content"]:
            inner = block.get("content", []) if block["type"] == "tool_result" else [block]
            texts = [part["text"] for part in inner if part["type"] == "text"]
            found.images += [part["source"]["data"] for part in inner if part["type"] == "image"]
            if block["type"] == "tool_result":
                found.results[block["tool_use_id"]] = "".join(texts)
            else:
                found.said += texts
    return found


def _received_chat(body: dict[str, Any]) -> Received:
    found = Received()
    first, *rest = body["messages"]
    assert first == {"role": "system", "content": SYSTEM}
    for message in rest:
        texts = list(_chat_texts(message))
        if message["role"] == "assistant":
            assert message.keys() <= {"role", "content", "tool_calls", "reasoning", "reasoning_content"}
            said: list[Item] = [("text", text) for text in texts]
            found.assistant.append([*said, *(chat_call(call) for call in message.get("tool_calls", ()))])
            continue
        content = message["content"] if isinstance(message["content"], list) else []
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        found.images += [url.removeprefix("data:image/png;base64,") for url in urls]
        if message["role"] == "tool":
            found.results[message["tool_call_id"]] = "".join(texts)
        else:
            found.said += texts
    return found


def _received_responses(body: dict[str, Any]) -> Received:
    found = Received()
    assert body["instructions"] == SYSTEM and body["store"] is False
    goes_on = False
    for item in body["input"]:
        if item.get("role") == "user" or item["type"] == "function_call_output":
            _add_given(item, found)
            goes_on = False
            continue
        if not goes_on:
            found.assistant.append([])
        found.assistant[-1] += sealed_item(item)
        goes_on = True
    return found


def _add_given(item: dict[str, Any], found: Received) -> None:
    given = item.get("content", item.get("output"))
    parts = [{"type": "input_text", "text": given}] if isinstance(given, str) else given
    texts = [part["text"] for part in parts if part["type"] == "input_text"]
    images = [part["image_url"] for part in parts if part["type"] == "input_image"]
    found.images += [url.removeprefix("data:image/png;base64,") for url in images]
    if "output" in item:
        found.results[item["call_id"]] = "".join(texts)
    else:
        found.said += texts


def _received_contents(body: dict[str, Any]) -> Received:
    found = Received()
    assert body["systemInstruction"] == {"parts": [{"text": SYSTEM}]}
    for content in body["contents"]:
        if content["role"] == "model":
            found.assistant.append([item for part in content["parts"] for item in part_items(part)])
            continue
        for part in content["parts"]:
            if "functionResponse" in part:
                response = part["functionResponse"]["response"]
                found.results[str(len(found.results))] = response.get("output", response.get("error"))
            elif "inlineData" in part:
                found.images.append(part["inlineData"]["data"])
            elif not part["text"].startswith("Attached to the result of "):
                found.said.append(part["text"])
    return found


_READERS = {
    ANTHROPIC: _received_messages,
    CHAT: _received_chat,
    RESPONSES: _received_responses,
    GEMINI: _received_contents,
}


def _chat_texts(message: dict[str, Any]) -> Iterator[str]:
    content = message.get("content") or ""
    if isinstance(content, str):
        yield from [content] if content else []
    else:
        yield from (part["text"] for part in content if part["type"] == "text")
