"""Test chat completions with agents of Pydantic AI, by its models for OpenAI and for OpenRouter."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic
import pytest
from pydantic_ai import Agent, BinaryContent, NativeOutput, ToolOutput
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openrouter import OpenRouterModel, OpenRouterModelSettings
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider

from tests.clients.served import PNG, PNG_BYTES, ServedModel, asking, calling

pytestmark = [pytest.mark.slow, pytest.mark.client("pydantic-ai-slim")]
KINDS = {"OpenAI": (OpenAIChatModel, OpenAIProvider), "OpenRouter": (OpenRouterModel, OpenRouterProvider)}


class Harbour(pydantic.BaseModel):
    """A harbour."""

    place: str
    depth: int


def open_client(served: ServedModel) -> openai.AsyncOpenAI:
    """Return a client of the router's chat completions."""
    return openai.AsyncOpenAI(base_url=f"{served.stack.url}/api/v1", api_key=served.stack.key, max_retries=0)


@pytest.fixture(params=sorted(KINDS))
async def model(request: pytest.FixtureRequest, served: ServedModel) -> AsyncIterator[Any]:
    """Yield a model of each kind; its client is closed afterwards."""
    model_type, provider_type = KINDS[request.param]
    async with open_client(served) as client:
        yield model_type(served.model, provider=provider_type(openai_client=client))


def sailor(model: Any, **settings: Any) -> Agent[None, str]:
    """Return an agent with a tool."""
    agent: Agent[None, str] = Agent(model, instructions="Be brief.", **settings)

    @agent.tool_plain
    def find_port(place: str) -> str:
        """Find a port."""
        return f"{place} has been found"

    return agent


async def test_a_run_is_answered(model: Any) -> None:
    result = await Agent(model, instructions="Be brief.").run(asking("text"))
    assert result.output and result.usage.output_tokens == len(result.output.split())


async def test_a_run_is_streamed(model: Any) -> None:
    async with Agent(model).run_stream(asking("text")) as streamed:
        pieces = [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]
        assert len(pieces) > 1 and "".join(pieces) == await streamed.get_output()


async def test_tools_are_called(model: Any) -> None:
    result = await sailor(model).run(calling(("find_port", {"place": "Genoa"}), ("find_port", {"place": "Zena"})))
    assert "Genoa has been found" in result.output and "Zena has been found" in result.output
    assert result.usage.requests == 3
    assert (await sailor(model).run(asking("text"), message_history=result.all_messages())).output


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


async def test_reasoning_is_shown_and_sent_back(thinking: ServedModel) -> None:
    """The model for OpenRouter reads the details of the reasoning and sends them back."""
    settings = OpenRouterModelSettings(openrouter_reasoning={"effort": "high"})
    async with open_client(thinking) as client:
        model = OpenRouterModel(thinking.model, provider=OpenRouterProvider(openai_client=client))
        result = await sailor(model, model_settings=settings).run(calling(("find_port", {"place": "Genoa"})))
    thoughts = [part for one in result.all_messages() for part in one.parts if isinstance(part, ThinkingPart)]
    assert thoughts and thoughts[0].content
    assert "Genoa has been found" in result.output
