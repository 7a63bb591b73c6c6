"""Use the responses API with LiteLLM: the arguments name what to do, and the result is JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True
COMMON: dict[str, Any] = {
    "model": f"openai/{os.environ['PORTOLAN_MODEL']}",
    "api_base": f"{os.environ['PORTOLAN_URL']}/api/v1",
    "api_key": os.environ["PORTOLAN_KEY"],
    "num_retries": 0,
    "max_retries": 0,
}
TOOL = {
    "type": "function",
    "name": "find_port",
    "description": "Find a port",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "strict": False,
}


def asked(scenario: str) -> list[Any]:
    """Return input that asks the lab for ``scenario``."""
    return [{"role": "user", "content": f"What does the pilot say? [lab:scenario={scenario}]"}]


def ask(stream: bool, items: list[Any], **options: Any) -> dict[str, Any]:
    """Return a response, which a stream has in its last event."""
    answer = litellm.responses(input=items, stream=stream, **COMMON, **options)
    if stream:
        *events, last = answer
        assert any(event.type == "response.created" for event in events)
        answer = last.response
    found: dict[str, Any] = answer.model_dump(exclude_none=True)
    return found


def text(stream: bool) -> Any:
    return ask(stream, asked("text"), instructions="Be brief.")


def tools(stream: bool, **options: Any) -> Any:
    """Return the items of a tool loop, sent back as the SDK has them."""
    items = asked("tool_loop:2")
    for _ in range(4):
        output = ask(stream, items, tools=[TOOL], **options)["output"]
        items += output
        calls = [item for item in output if item["type"] == "function_call"]
        if not calls:
            break
        for call in calls:
            place = json.loads(call["arguments"])["place"]
            result = f"{place} has been found"
            items.append({"type": "function_call_output", "call_id": call["call_id"], "output": result})
    return items


def reasoning(stream: bool) -> Any:
    return tools(stream, reasoning={"effort": "low", "summary": "auto"})


def structured(stream: bool) -> Any:
    schema = {
        "type": "object",
        "properties": {"place": {"type": "string"}, "depth": {"type": "integer"}},
        "required": ["place", "depth"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "name": "harbour", "strict": True, "schema": schema}
    answer = ask(stream, asked("structured"), text={"format": form})
    return json.loads(answer["output"][-1]["content"][0]["text"])


def failures(stream: bool) -> Any:
    found = []
    for scenario in ("error_before:429", "error_before:529"):
        try:
            ask(stream, asked(scenario))
        except Exception as error:
            found.append([type(error).__name__, getattr(error, "status_code", None), str(error)])
    return found


CASES = {one.__name__: one for one in (text, tools, reasoning, structured, failures)}
found = {name: {way: CASES[name](way == "stream") for way in ("whole", "stream")} for name in sys.argv[1:]}
print(json.dumps(found, default=str))
