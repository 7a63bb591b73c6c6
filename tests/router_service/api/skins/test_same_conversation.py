"""Test that a conversation is recognised whichever client API its turns come through."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from data.catalogue import load_catalogue
from models.categories.classify import prompt_text
from router_service.affinity.conversation import conversation_key, opening_digest
from router_service.api.skins.chat.endpoint import ChatEndpoint
from router_service.api.skins.messages.endpoint import MessagesEndpoint
from router_service.api.skins.responses.endpoint import ResponsesEndpoint
from router_service.core.canonical_turns import canonical_turns
from router_service.core.request import Head
from tests.exchanges import exchange_of

MODEL = "anthropic/claude-sonnet-4.5"
SMALL, LARGE = b64encode(b"a small image").decode(), b64encode(bytes(range(256)) * 2000).decode()
ADDRESS = "https://images.example/cat.png"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CHAT_TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
TOOLS = [{"name": "weather", "input_schema": SCHEMA}]
RESPONSE_TOOLS = [{"type": "function", "name": "weather", "parameters": SCHEMA}]


def chat_image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def block(data: str, kind: str = "image", media_type: str = "image/png") -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def call(number: int, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}}


def use(number: int, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "weather", "input": {"days": 1, "city": city}}


CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "text": (
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Good morning, \u00e9\U0001f600"},
            {"role": "assistant", "content": "Good morning."},
            {"role": "user", "content": [text("One"), text("Two")]},
        ],
        {
            "system": [text("Be brief.") | {"cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [text("Good morning, \u00e9\U0001f600")]},
                {"role": "assistant", "content": "Good morning."},
                {"role": "user", "content": [text("One"), text("Two") | {"cache_control": {"type": "ephemeral"}}]},
            ],
        },
    ),
    "developer": (
        [
            {"role": "developer", "content": [text("Be brief."), text("Be kind.")]},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Who are you?"},
        ],
        {
            "system": [text("Be brief."), text("Be kind.")],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [text("Hello.")]},
                {"role": "user", "content": "Who are you?"},
            ],
        },
    ),
    "tools": (
        [
            {"role": "user", "content": "Rome and Oslo?"},
            {
                "role": "assistant",
                "content": "I will look.",
                "tool_calls": [call(1, '{"city": "Rome", "days": 1}'), call(2, '{"days":1,"city":"Oslo"}')],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "warm"},
            {"role": "tool", "tool_call_id": "call_2", "content": [text("cold"), text("dark")]},
            {"role": "user", "content": "And Bonn?"},
            {"role": "assistant", "content": None, "tool_calls": [call(3, '{"city": "Bonn", "days": 1}')]},
            {"role": "tool", "tool_call_id": "call_3", "content": "mild"},
        ],
        {
            "messages": [
                {"role": "user", "content": "Rome and Oslo?"},
                {"role": "assistant", "content": [text("I will look."), use(1, "Rome"), use(2, "Oslo")]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "warm"},
                        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [text("cold"), text("dark")]},
                        text("And Bonn?"),
                    ],
                },
                {"role": "assistant", "content": [use(3, "Bonn")]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "toolu_3", "content": [text("mild")]}],
                },
            ],
        },
    ),
    "media": (
        [
            {
                "role": "user",
                "content": [
                    text("Compare"),
                    chat_image(f"data:image/png;base64,{SMALL}"),
                    chat_image(ADDRESS),
                    chat_image(f"data:image/png;base64,{LARGE}"),
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{LARGE}"},
                    },
                ],
            },
            {"role": "assistant", "content": "They differ."},
            {"role": "user", "content": "How?"},
        ],
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        text("Compare"),
                        block(SMALL),
                        {"type": "image", "source": {"type": "url", "url": ADDRESS}},
                        block(LARGE),
                        block(LARGE, "document", "application/pdf"),
                    ],
                },
                {"role": "assistant", "content": "They differ."},
                {"role": "user", "content": "How?"},
            ],
        },
    ),
    "first turn with an image": (
        [{"role": "user", "content": [chat_image(f"data:image/png;base64,{SMALL}")]}],
        {"messages": [{"role": "user", "content": [block(SMALL)]}]},
    ),
}


def items_of(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the conversation of ``turns``, which are in the words of the chat API, as items of the responses API."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        if turn["role"] == "tool":
            output = _contents(turn["content"])
            found.append({"type": "function_call_output", "call_id": turn["tool_call_id"], "output": output})
            continue
        if turn["content"] is not None:
            found.append({"type": "message", "role": turn["role"], "content": _contents(turn["content"])})
        calls = turn.get("tool_calls", ())
        found += [{"type": "function_call", "call_id": one["id"], **one["function"]} for one in calls]
    return found


def _contents(content: Any) -> Any:
    if isinstance(content, str):
        return content
    found: list[dict[str, Any]] = []
    for part in content:
        match part["type"]:
            case "image_url":
                found.append({"type": "input_image", "detail": "auto", "image_url": part["image_url"]["url"]})
            case "file":
                found.append({"type": "input_file", **part["file"]})
            case _:
                found.append({"type": "input_text", "text": part["text"]})
    return found


def heads(name: str) -> tuple[Head, Head, Head]:
    """Return the heads of a conversation, as each of the skins reads it."""
    chat, messages = CONVERSATIONS[name]
    catalogue = load_catalogue()
    bodies: list[tuple[Any, dict[str, Any]]] = [
        (ChatEndpoint(catalogue), {"messages": chat, "tools": CHAT_TOOLS}),
        (MessagesEndpoint(), {**messages, "max_tokens": 100, "tools": TOOLS}),
        (ResponsesEndpoint(catalogue), {"input": items_of(chat), "tools": RESPONSE_TOOLS}),
    ]
    found = []
    for endpoint, body in bodies:
        exchange = exchange_of(msgspec.json.encode({"model": MODEL, **(body if "tool" in name else _plain(body))}))
        endpoint.parse(exchange, b"", catalogue)
        assert exchange.request.head is not None
        found.append(exchange.request.head)
    return found[0], found[1], found[2]


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in body.items() if field != "tools"}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_has_the_same_turns_and_the_same_key_through_every_skin(name: str) -> None:
    one, *others = heads(name)
    turns = list(canonical_turns(one.messages))
    assert len(turns) == len(CONVERSATIONS[name][0])
    key = conversation_key("k", one, {})
    assert key is not None and key.pinned is (name == "tools")
    for other in others:
        assert turns == list(canonical_turns(other.messages))
        assert key == conversation_key("k", other, {})


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_request_has_the_same_text_for_its_category_through_every_skin(name: str) -> None:
    one, *others = heads(name)
    for other in others:
        assert prompt_text(one.messages) == prompt_text(other.messages)
        assert (one.modality, one.tool_count) == (other.modality, other.tool_count)


def test_turns_that_differ_in_a_text_a_call_or_an_image_are_told_apart() -> None:
    def digest(*content: object, **more: object) -> bytes:
        return opening_digest(msgspec.json.encode([{"role": "user", "content": list(content), **more}]))

    found = [
        digest(text("a")),
        digest(text("a"), text("b")),
        digest(chat_image(ADDRESS)),
        digest(chat_image(f"data:image/png;base64,{LARGE}")),
        digest(chat_image(f"data:image/png;base64,{LARGE[:-4]}")),
        digest(chat_image(f"data:image/png;base64,{LARGE}"), text("a")),
        digest(text("a"), tool_calls=[call(1, "{}")]),
        digest(text("a"), tool_calls=[call(1, '{"city": 1}')]),
        digest(text("a"), tool_calls=[call(1, "no JSON")]),
        digest({"type": "unknown", "value": 10**30}),
    ]
    assert len(set(found)) == len(found)
