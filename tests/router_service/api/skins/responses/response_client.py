"""Ask the responses API as the official SDK does, and check what it reads."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pydantic
import pytest
from openai.types.responses import Response

from router_service.telemetry.lookup import find_on_disk
from tests.clients.served import MODELS, asking
from tests.conftest import Stack
from tests.router_service.api.skins.responses.responses_grammar import check_stream
from tests.running import until

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
PORT: dict[str, Any] = {
    "type": "function",
    "name": "find_port",
    "description": "Find a port",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "strict": False,
}
HOIST: dict[str, Any] = {
    "type": "function",
    "name": "hoist",
    "parameters": {"type": "object", "properties": {"flag": {"type": "boolean"}}, "required": ["flag"]},
    "strict": False,
}
NOTE: dict[str, Any] = {"type": "custom", "name": "note", "description": "Write into the log"}
GRAMMAR = {"format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}
# A prompt with this word is too long for every provider of the tests.
OVERFLOW = "[overflow]"


class Harbour(pydantic.BaseModel):
    """Describe what the model is to return."""

    place: str
    depth: int
    kind: Literal["river", "sea"]


def shows_thinking(model: str) -> bool:
    """Return true if the wire format has a field for thinking; chat completions of OpenAI have none."""
    return model != MODELS["openai_chat"]


def ask(client: openai.OpenAI, stream: bool, **body: Any) -> Response:
    """Return the response, which the SDK takes from the last event of a stream; its bytes keep to the specification."""
    if not stream:
        found: Response = client.responses.create(**body)
        return found
    raw = client.responses.with_raw_response.create(**body, stream=True)
    events = check_stream(raw.http_response.read())
    with client.responses.stream(**body) as sdk:
        last = list(sdk)[-1]
    assert last.type == events[-1]["type"]
    response: Response = last.response  # type: ignore[union-attr]
    return response


def said(scenario: str, *content: dict[str, Any]) -> list[Any]:
    """Return a conversation that begins with ``scenario``."""
    return [{"role": "user", "content": [*content, {"type": "input_text", "text": asking(scenario)}]}]


def kinds(response: Response) -> list[str]:
    return [item.type for item in response.output]


def record(stack: Stack, response_id: str) -> dict[str, Any]:
    generation = "gen-" + response_id.removeprefix("resp_").replace("_", "-")
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    found = find_on_disk(stack.lake, generation)
    assert found is not None
    return found
