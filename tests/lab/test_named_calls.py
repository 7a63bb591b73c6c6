"""Test that a prompt can list the calls that the model is to make, in both wire formats."""

from __future__ import annotations

import base64
import json
from typing import Any

import anthropic
import openai
import pytest

from tests.lab.scenes import SCHEMA, SECOND, chat_tool, marked, message_tool

CALLS = [["hoist", {"flag": True}], ["find_port", {"place": "Genoa / Porto Antico?"}]]
REMINDER = "<system-reminder>Keep it short.</system-reminder>"


def listing(calls: Any) -> str:
    return marked(f"named_calls:{base64.urlsafe_b64encode(json.dumps(calls).encode()).decode()}")


def test_an_agent_on_messages_is_made_to_call(anthropic_sdk: anthropic.Anthropic) -> None:
    tools: list[Any] = [message_tool("find_port", SCHEMA), message_tool("hoist", SECOND)]
    turns: list[Any] = [{"role": "user", "content": listing(CALLS)}]
    for name, arguments in CALLS:
        message = anthropic_sdk.messages.create(model="claude-lab", max_tokens=99, messages=turns, tools=tools)
        call = message.content[-1]
        assert call.type == "tool_use" and (call.name, call.input) == (name, arguments)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": f"done: {name}"}
        turns += [
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result, {"type": "text", "text": REMINDER}]},
        ]
    last = anthropic_sdk.messages.create(model="claude-lab", max_tokens=99, messages=turns, tools=tools)
    assert last.content[0].type == "text" and '"done: hoist"; "done: find_port"' in last.content[0].text


def test_an_agent_on_chat_completions_is_made_to_call(openai_sdk: openai.OpenAI) -> None:
    """A reminder after the results is a turn of its own here, and begins no other script."""
    tools: list[Any] = [chat_tool("find_port", SCHEMA), chat_tool("hoist", SECOND)]
    turns: list[Any] = [{"role": "user", "content": listing(CALLS)}]
    for name, arguments in CALLS:
        answer = openai_sdk.chat.completions.create(model="gpt-lab", messages=turns, tools=tools)
        message = answer.choices[0].message
        (call,) = message.tool_calls or ()
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == (name, arguments)
        turns += [message, {"role": "tool", "tool_call_id": call.id, "content": f"done: {name}"}]
        turns.append({"role": "user", "content": REMINDER})
    text = openai_sdk.chat.completions.create(model="gpt-lab", messages=turns, tools=tools).choices[0].message.content
    assert '"done: hoist"; "done: find_port"' in (text or "")
    turns.append({"role": "user", "content": marked("text")})
    text = openai_sdk.chat.completions.create(model="gpt-lab", messages=turns, tools=tools).choices[0].message.content
    assert text and "done" not in text


def test_a_text_is_said(openai_sdk: openai.OpenAI, anthropic_sdk: anthropic.Anthropic) -> None:
    text = "Alfa\n  bravo — charlie.\n"
    prompt = marked(f"say:{base64.urlsafe_b64encode(text.encode()).decode()}")
    chat = openai_sdk.chat.completions.create(model="gpt-lab", messages=[{"role": "user", "content": prompt}])
    assert chat.choices[0].message.content == text
    turns: list[Any] = [{"role": "user", "content": prompt}]
    assert anthropic_sdk.messages.create(model="claude-lab", max_tokens=99, messages=turns).content[0].text == text


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (marked("named_calls"), "base64url of a JSON array"),
        (marked("named_calls:%%%"), "base64url of a JSON array"),
        (marked("named_calls:é"), "base64url of a JSON array"),
        (listing([]), "base64url of a JSON array"),
        (listing({"hoist": {}}), "base64url of a JSON array"),
        (listing([["hoist"]]), "base64url of a JSON array"),
        (listing([["hoist", "now"]]), "base64url of a JSON array"),
        (listing(CALLS * 11), "at most 20 calls"),
        (marked("say"), "base64url of a text"),
        (marked("say:_w"), "base64url of a text"),
        (listing([["sink", {}]]), "no tool 'sink' to call. It has: hoist"),
    ],
)
def test_a_list_that_cannot_be_played_says_why(openai_sdk: openai.OpenAI, prompt: str, says: str) -> None:
    tools: list[Any] = [chat_tool("hoist", SECOND)]
    with pytest.raises(openai.BadRequestError) as caught:
        openai_sdk.chat.completions.create(model="gpt-lab", messages=[{"role": "user", "content": prompt}], tools=tools)
    assert says in caught.value.message
