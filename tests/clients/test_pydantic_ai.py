"""Test the messages API with agents of Pydantic AI."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import anthropic
import pydantic
import pytest
from pydantic_ai import Agent, AgentStreamEvent, BinaryContent, NativeOutput, RunContext, ToolOutput
from pydantic_ai.messages import ThinkingPart, ToolCallPart
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider

from tests.clients.served import PDF, PNG, PNG_BYTES, ServedModel, asking, calling

pytestmark = [pytest.mark.slow, pytest.mark.client("pydantic-ai-slim")]
THINKING = AnthropicModelSettings(max_tokens=2048, anthropic_thinking={"type": "enabled", "budget_tokens": 1024})


class Harbour(pydantic.BaseModel):
    """A harbour."""

    place: str
    depth: int


@pytest.fixture
async def model(served: ServedModel) -> AsyncIterator[AnthropicModel]:
    """Yield a model whose client is closed afterwards."""
    async with anthropic.AsyncAnthropic(base_url=served.stack.url, api_key=served.stack.key, max_retries=0) as client:
        # Pydantic AI knows what a model can do by the id as Anthropic writes it; here it is told.
        profile = ModelProfile(supports_json_schema_output=True)
        yield AnthropicModel(served.model, provider=AnthropicProvider(anthropic_client=client), profile=profile)


def sailor(model: AnthropicModel, **settings: Any) -> Agent[None, str]:
    """Return an agent with tools."""
    agent: Agent[None, str] = Agent(model, instructions="Be brief.", **settings)

    @agent.tool_plain
    def find_port(place: str) -> str:
        """Find a port."""
        return f"{place} has been found"

    @agent.tool_plain
    def hoist(flag: bool) -> str:
        """Hoist the flag."""
        return f"the flag is {'up' if flag else 'down'}"

    return agent


async def test_a_run_is_answered(model: AnthropicModel, served: ServedModel) -> None:
    result = await Agent(model, instructions="Be brief.").run(asking("text"))
    assert result.output and result.usage.output_tokens == len(result.output.split())
    assert result.all_messages()[-1].model_name == served.model  # type: ignore[union-attr]


async def test_a_run_is_streamed(model: AnthropicModel) -> None:
    async with Agent(model).run_stream(asking("text")) as streamed:
        pieces = [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]
        assert len(pieces) > 1 and "".join(pieces) == await streamed.get_output()


async def test_tools_are_called(model: AnthropicModel) -> None:
    result = await sailor(model).run(calling(("hoist", {"flag": True}), ("find_port", {"place": "Genoa"})))
    assert "the flag is up" in result.output and "Genoa has been found" in result.output
    assert result.usage.tool_calls == 2 and result.usage.requests == 3


async def test_several_tools_are_called_at_once(model: AnthropicModel) -> None:
    agent = sailor(model)
    async with agent.iter(asking("parallel_tools")) as run:
        async for _node in run:
            calls = [part for one in run.all_messages() for part in one.parts if isinstance(part, ToolCallPart)]
            if calls:
                break
    assert [call.tool_name for call in calls] == ["find_port", "hoist"]


async def test_tools_are_called_in_a_stream_with_thinking(model: AnthropicModel, served: ServedModel) -> None:
    """The thinking of the first turn is sent back with its signature, within the run and in the next one."""
    agent, kinds = sailor(model, model_settings=THINKING), []

    async def watch(_context: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        kinds.extend([event.event_kind async for event in events])

    prompt = calling(("find_port", {"place": "Genoa"}), ("hoist", {"flag": False}))
    result = await agent.run(prompt, event_stream_handler=watch)
    assert "Genoa has been found" in result.output and "the flag is down" in result.output
    assert {"part_start", "part_delta", "function_tool_call", "function_tool_result"} <= set(kinds)
    history = result.all_messages()
    thought = [part for one in history for part in one.parts if isinstance(part, ThinkingPart)]
    assert [bool(part.signature) for part in thought] == [True] * served.shows_thinking
    again = await agent.run(asking("redacted"), message_history=history)
    assert (await agent.run(asking("text"), message_history=again.all_messages())).output


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", ["tool", "structured"])
async def test_the_output_follows_a_schema(model: AnthropicModel, way: str, streamed: bool) -> None:
    output: Any = ToolOutput(Harbour) if way == "tool" else NativeOutput(Harbour)
    agent = Agent(model, output_type=output)
    if streamed:
        async with agent.run_stream(asking(way)) as result:
            found = await result.get_output()
    else:
        found = (await agent.run(asking(way))).output
    assert found == Harbour(place="Genoa", depth=7)


async def test_files_are_seen(model: AnthropicModel) -> None:
    png = BinaryContent(base64.b64decode(PNG), media_type="image/png")
    pdf = BinaryContent(base64.b64decode(PDF), media_type="application/pdf")
    result = await Agent(model).run([pdf, png, asking("image")])
    assert f"image/png of {len(PNG_BYTES)} bytes" in result.output
