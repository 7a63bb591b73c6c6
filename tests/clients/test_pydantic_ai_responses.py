"""Test the responses API with agents of Pydantic AI."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent, AgentStreamEvent, BinaryContent, NativeOutput, RunContext, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.served import PNG, PNG_BYTES, ServedModel, asking, calling
from tests.clients.test_pydantic_ai_chat import Harbour, open_client, sailor

pytestmark = [pytest.mark.slow, pytest.mark.client("pydantic-ai-slim")]
THINKING = OpenAIResponsesModelSettings(openai_reasoning_effort="low", openai_reasoning_summary="auto")


@pytest.fixture
async def model(served_responses: ServedModel) -> AsyncIterator[OpenAIResponsesModel]:
    """Yield a model whose client is closed afterwards."""
    async with open_client(served_responses) as client:
        yield OpenAIResponsesModel(served_responses.model, provider=OpenAIProvider(openai_client=client))


async def test_a_run_is_answered(model: Any, served_responses: ServedModel) -> None:
    result = await Agent(model, instructions="Be brief.").run(asking("text"))
    assert result.output and result.usage.output_tokens == len(result.output.split())
    assert result.all_messages()[-1].model_name == served_responses.model  # type: ignore[union-attr]


async def test_a_run_is_streamed(model: Any) -> None:
    async with Agent(model).run_stream(asking("text")) as streamed:
        pieces = [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]
        assert len(pieces) > 1 and "".join(pieces) == await streamed.get_output()


async def test_tools_are_called(model: Any) -> None:
    result = await sailor(model).run(calling(("find_port", {"place": "Genoa"}), ("find_port", {"place": "Zena"})))
    assert "Genoa has been found" in result.output and "Zena has been found" in result.output
    assert result.usage.requests == 3
    assert (await sailor(model).run(asking("text"), message_history=result.all_messages())).output


async def test_tools_are_called_in_a_stream_with_reasoning(model: Any, served_responses: ServedModel) -> None:
    """The reasoning of the first turn is sent back with its encrypted content, within the run and in the next one."""
    agent, kinds = sailor(model, model_settings=THINKING), []

    async def watch(_context: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        kinds.extend([event.event_kind async for event in events])

    result = await agent.run(calling(("find_port", {"place": "Genoa"})), event_stream_handler=watch)
    assert "Genoa has been found" in result.output
    assert {"part_start", "part_delta", "function_tool_call", "function_tool_result"} <= set(kinds)
    history = result.all_messages()
    thought = [part for one in history for part in one.parts if isinstance(part, ThinkingPart)]
    assert bool(thought) == served_responses.shows_thinking
    assert all(part.signature for part in thought)
    assert (await agent.run(asking("text"), message_history=history)).output


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", [ToolOutput, NativeOutput])
async def test_the_output_follows_a_schema(model: Any, way: Any, streamed: bool) -> None:
    agent: Any = Agent(model, output_type=way(Harbour))
    if streamed:
        async with agent.run_stream("Describe the harbour.") as result:
            found = await result.get_output()
    else:
        found = (await agent.run("Describe the harbour.")).output
    assert found == Harbour(place="Genoa", depth=7)


async def test_an_image_is_seen(model: Any) -> None:
    png = BinaryContent(base64.b64decode(PNG), media_type="image/png")
    assert f"image/png of {len(PNG_BYTES)} bytes" in (await Agent(model).run([png, asking("image")])).output


async def test_failures_are_the_sdks_errors(model: Any) -> None:
    with pytest.raises(ModelHTTPError, match="status_code: 429"):
        await Agent(model).run(asking("error_before:429"))
    with pytest.raises(ModelHTTPError, match="closed before the response was complete"):
        async with Agent(model).run_stream(asking("cut")) as streamed:
            await streamed.get_output()
