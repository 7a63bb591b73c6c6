"""Test that a lab can do as it is told by prompts without a marker, in both wire formats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from lab.compliance import prompted_arguments, prompted_object
from lab.server import Lab, create_app
from tests.conftest import serving
from tests.lab.scenes import SCHEMA, chat_tool, message_tool

DEPTHS = {
    "type": "object",
    "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}},
    "required": ["low", "high"],
}
NAMES = {
    "type": "object",
    "properties": {"unit": {"type": "string", "enum": ["metre"]}, "name": {"type": "string", "description": "Any"}},
    "required": ["unit", "name"],
}
NOTHING = {"type": "object", "properties": {}}


@pytest.fixture(scope="module")
def obliging_lab_url() -> Iterator[str]:
    """Yield the address of a lab whose models do as they are told."""
    with serving(create_app(Lab(time_scale=0.0, faults=False, unmarked="comply"))) as url:
        yield url


@pytest.mark.parametrize(
    ("schema", "prompt", "wanted"),
    [
        (DEPTHS, "What is depth(3, 4)?", {"low": 3, "high": 4}),
        (DEPTHS, "What is depth(3)?", {"low": 3, "high": 7}),
        (DEPTHS, "What is my_depth(3, 4)?", {"low": 7, "high": 7}),
        (DEPTHS, "What is depth(the tide)?", {"low": 7, "high": 7}),
        (NAMES, "Name the harbour 'Genova' or 'Zena'.", {"unit": "metre", "name": "Genova"}),
        (NAMES, "It's the pilot's harbour.", {"unit": "metre", "name": "Genoa"}),
        (NOTHING, "What is depth() at 'Genova'?", {}),
        (NOTHING | {"additionalProperties": True}, "Give it the key 'tide'.", {"tide": "Genoa"}),
        ({"type": "object"}, "Give it the key 'tide'.", {"tide": "Genoa"}),
    ],
)
def test_arguments_are_those_of_the_prompt(schema: dict[str, Any], prompt: str, wanted: dict[str, Any]) -> None:
    assert prompted_arguments("depth", schema, prompt) == wanted


def test_an_object_has_the_keys_of_the_prompt() -> None:
    assert prompted_object("The keys are 'low' and 'high'.") == {"low": "Genoa", "high": "Genoa"}
    assert prompted_object("Any keys will do.") == {"place": "Genoa"}


def test_chat_completions_comply(obliging_lab_url: str) -> None:
    tools: list[Any] = [chat_tool("depth", DEPTHS)]
    turns: list[Any] = [{"role": "user", "content": "What is depth(3, 4)? Answer in JSON with the key 'metres'."}]
    with openai.OpenAI(base_url=f"{obliging_lab_url}/openai/v1", api_key="key", max_retries=0) as client:
        called = client.chat.completions.create(model="gpt-lab", messages=turns, tools=tools).choices[0].message
        (call,) = called.tool_calls or ()
        assert call.type == "function" and json.loads(call.function.arguments) == {"low": 3, "high": 4}
        turns += [called, {"role": "tool", "tool_call_id": call.id, "content": "3.5"}]
        form: Any = {"type": "json_object"}
        last = client.chat.completions.create(model="gpt-lab", messages=turns, tools=tools, response_format=form)
        assert json.loads(last.choices[0].message.content or "") == {"metres": "Genoa"}


def test_messages_comply(obliging_lab_url: str) -> None:
    tools: list[Any] = [message_tool("depth", DEPTHS)]
    turns: list[Any] = [{"role": "user", "content": "What is depth(3, 4)?"}]
    form: Any = {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}
    with anthropic.Anthropic(base_url=f"{obliging_lab_url}/anthropic", api_key="key", max_retries=0) as client:
        create = client.messages.create
        called = create(model="claude-lab", max_tokens=99, messages=turns, tools=tools).content[0]
        assert called.type == "tool_use" and called.input == {"low": 3, "high": 4}
        last = create(model="claude-lab", max_tokens=99, messages=turns, output_config=form).content[0]
        assert last.type == "text" and json.loads(last.text)["place"] == "Genoa"
