"""Test embeddings with the official SDKs of OpenAI and of OpenRouter for Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import openrouter
import pytest
from openrouter import errors
from openrouter.utils import RetryConfig

from lab.embeddings import unit_vector
from tests.conftest import Stack

pytestmark = pytest.mark.slow
SMALL, QWEN = "openai/text-embedding-3-small", "qwen/qwen3-embedding-8b"
GEMINI = "google/gemini-embedding-001"
TEXTS = ["A chart of the harbour", "The depth at low tide", "A chart of the harbour"]
WITH_OPENAI = pytest.mark.client("openai for Python")
WITH_OPENROUTER = pytest.mark.client("openrouter for Python")
MODELS = pytest.mark.parametrize(("model", "dimensions"), [(SMALL, 1536), (QWEN, 4096), (GEMINI, 3072)])


@pytest.fixture
def client(strict_stack: Stack) -> Iterator[openai.OpenAI]:
    strict_stack.lab.refused.clear()
    with openai.OpenAI(base_url=f"{strict_stack.url}/v1", api_key=strict_stack.key, max_retries=0) as made:
        yield made


@pytest.fixture
def sdk(strict_stack: Stack) -> Iterator[openrouter.OpenRouter]:
    strict_stack.lab.refused.clear()
    options: Any = {"api_key": strict_stack.key, "retry_config": RetryConfig("none", None, False)}
    with openrouter.OpenRouter(server_url=f"{strict_stack.url}/api/v1", **options) as made:
        yield made


@WITH_OPENAI
@MODELS
@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_openai_decodes_every_form(
    client: openai.OpenAI, strict_stack: Stack, model: str, dimensions: int, form: Any
) -> None:
    """The SDK asks for base64 by itself, and decodes it then."""
    found = client.embeddings.create(model=model, input=TEXTS, **form)
    assert [one.index for one in found.data] == [0, 1, 2] and found.model == model
    if form != {"encoding_format": "base64"}:
        assert [one.embedding for one in found.data] == [unit_vector(text, dimensions) for text in TEXTS]
    assert found.usage.prompt_tokens == found.usage.total_tokens == sum(len(text) // 4 for text in TEXTS)
    assert (found.usage.model_extra or {})["cost"] > 0
    assert not strict_stack.lab.refused


@WITH_OPENAI
@pytest.mark.parametrize("sent", ["one", ["one"], [5, 6, 7], [[5, 6], [7]]])
def test_openai_sends_every_kind_of_input(client: openai.OpenAI, sent: Any) -> None:
    found = client.embeddings.create(model=SMALL, input=sent, dimensions=64, user="ann")
    count = len(sent) if isinstance(sent, list) and not isinstance(sent[0], int) else 1
    assert [len(one.embedding) for one in found.data] == [64] * count


@WITH_OPENAI
def test_openai_raises_what_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="input has 2,049 inputs; send at most 2,048"):
        client.embeddings.create(model=SMALL, input=["a"] * 2049)
    with pytest.raises(openai.BadRequestError, match="is a chat model"):
        client.embeddings.create(model="openai/gpt-5-mini", input="a")


@WITH_OPENAI
def test_openai_sends_2048_inputs_and_many_requests_at_once(strict_stack: Stack) -> None:
    async def run() -> list[int]:
        async with openai.AsyncOpenAI(base_url=f"{strict_stack.url}/v1", api_key=strict_stack.key) as made:
            full = await made.embeddings.create(model=SMALL, input=["a"] * 2048, dimensions=8)
            asked = (made.embeddings.create(model=SMALL, input=[f"text {n}"], dimensions=8) for n in range(50))
            found = await asyncio.gather(*asked)
            assert [one.data[0].embedding for one in found] == [unit_vector(f"text {n}", 8) for n in range(50)]
            return [one.index for one in full.data]

    assert asyncio.run(run()) == list(range(2048))


@WITH_OPENROUTER
@MODELS
def test_openrouter_validates_the_answer(sdk: openrouter.OpenRouter, model: str, dimensions: int) -> None:
    found: Any = sdk.embeddings.generate(model=model, input=TEXTS, provider={"allow_fallbacks": True}, user="ann")
    assert [one.embedding for one in found.data] == [unit_vector(text, dimensions) for text in TEXTS]
    assert found.usage.cost > 0 and found.usage.cost_details.upstream_inference_cost == found.usage.cost
    text: Any = sdk.embeddings.generate(model=model, input=TEXTS[0], encoding_format="base64")
    assert isinstance(text.data[0].embedding, str)


@WITH_OPENROUTER
def test_openrouter_sends_content_parts(sdk: openrouter.OpenRouter) -> None:
    parts: Any = [{"content": [{"type": "text", "text": "one"}]}]
    found: Any = sdk.embeddings.generate(model=SMALL, input=parts, dimensions=8, input_type="search_query")
    assert found.data[0].embedding == unit_vector("one", 8)


@WITH_OPENROUTER
def test_openrouter_lists_the_models(sdk: openrouter.OpenRouter) -> None:
    found: Any = sdk.embeddings.list_models()
    assert SMALL in {one.id for one in found.result.data}
    page: Any = sdk.embeddings.list_models(limit=2)
    assert len(page.result.data) == 2 and page.next() is not None


@WITH_OPENROUTER
def test_openrouter_raises_its_own_errors(sdk: openrouter.OpenRouter) -> None:
    with pytest.raises(errors.BadRequestResponseError, match="input is an empty string"):
        sdk.embeddings.generate(model=SMALL, input="")
