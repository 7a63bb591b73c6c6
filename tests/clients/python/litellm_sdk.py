"""Use chat completions with LiteLLM: the arguments name a route of it and what to do, and the result is JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True
COMMON: dict[str, Any] = {
    "api_base": f"{os.environ['PORTOLAN_URL']}/api/v1",
    "api_key": os.environ["PORTOLAN_KEY"],
    "num_retries": 0,
    "max_retries": 0,
}
MODEL = os.environ["PORTOLAN_MODEL"]
TOOL = {
    "type": "function",
    "function": {
        "name": "find_port",
        "description": "Find a port",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def complete(route: str, messages: list[Any], *, stream: bool, **options: Any) -> Any:
    """Return a completion, whole or built from its chunks."""
    model = f"{route}/{MODEL}"
    if not stream:
        return litellm.completion(model=model, messages=messages, **COMMON, **options)
    usage = {"stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(model=model, messages=messages, stream=True, **usage, **COMMON, **options))
    return litellm.stream_chunk_builder(chunks, messages=messages)


def asked(scenario: str) -> list[Any]:
    """Return a conversation that asks the lab for ``scenario``."""
    return [{"role": "user", "content": f"What does the pilot say? [lab:scenario={scenario}]"}]


def text(route: str, stream: bool) -> Any:
    return complete(route, asked("text"), stream=stream).model_dump()


def tools(route: str, stream: bool, **options: Any) -> Any:
    """Return the messages of a tool loop, sent back as the SDK has them."""
    messages = asked("tool_loop:2")
    for _ in range(4):
        message = complete(route, messages, stream=stream, tools=[TOOL], **options).choices[0].message
        messages.append(message)
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            place = json.loads(call.function.arguments)["place"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{place} has been found"})
    return [one if isinstance(one, dict) else one.model_dump() for one in messages]


def reasoning(route: str, stream: bool) -> Any:
    return tools(route, stream, extra_body={"reasoning": {"effort": "high"}})


def structured(route: str, stream: bool) -> Any:
    schema = {
        "type": "object",
        "properties": {"place": {"type": "string"}, "depth": {"type": "integer"}},
        "required": ["place", "depth"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "harbour", "strict": True, "schema": schema}}
    answer = complete(route, asked("structured"), stream=stream, response_format=form)
    return json.loads(answer.choices[0].message.content)


def failures(route: str, stream: bool) -> Any:
    found = []
    for scenario in ("error_before:429", "error_before:529"):
        try:
            complete(route, asked(scenario), stream=stream)
        except Exception as error:
            found.append([type(error).__name__, getattr(error, "status_code", None), str(error)])
    return found


CASES = {one.__name__: one for one in (text, tools, reasoning, structured, failures)}
ROUTE = sys.argv[1]
found = {name: {way: CASES[name](ROUTE, way == "stream") for way in ("whole", "stream")} for name in sys.argv[2:]}
print(json.dumps(found, default=str))
