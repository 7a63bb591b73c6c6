"""Test images with the official SDKs of OpenAI and of OpenRouter for Python."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import openai
import openrouter
import pytest
from openrouter import errors
from openrouter.utils import RetryConfig

from lab.openai_images import picture
from tests.conftest import Stack

pytestmark = pytest.mark.slow
MINI, PROMPT = "openai/gpt-image-1-mini", "A chart of the harbour"


@pytest.fixture
def client(strict_stack: Stack) -> Iterator[openai.OpenAI]:
    strict_stack.lab.refused.clear()
    with openai.OpenAI(base_url=f"{strict_stack.url}/v1", api_key=strict_stack.key, max_retries=0) as made:
        yield made
    assert not strict_stack.lab.refused


@pytest.fixture
def sdk(strict_stack: Stack) -> Iterator[openrouter.OpenRouter]:
    options: Any = {"api_key": strict_stack.key, "retry_config": RetryConfig("none", None, False)}
    with openrouter.OpenRouter(server_url=f"{strict_stack.url}/api/v1", **options) as made:
        yield made


@pytest.mark.client("openai for Python")
def test_openai_generates(client: openai.OpenAI) -> None:
    found = client.images.generate(model=MINI, prompt=PROMPT, n=2, size="1024x1024", quality="low", user="ann")
    assert found.data and found.usage
    assert [base64.b64decode(one.b64_json or "") for one in found.data] == [picture(f"{PROMPT}/{n}") for n in range(2)]
    assert found.usage.output_tokens == 544 and found.usage.input_tokens_details.text_tokens == len(PROMPT) // 4


@pytest.mark.client("openai for Python")
def test_openai_raises_what_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="response_format cannot be url"):
        client.images.generate(model=MINI, prompt=PROMPT, response_format="url")


@pytest.mark.client("openrouter for Python")
def test_openrouter_generates(sdk: openrouter.OpenRouter) -> None:
    found: Any = sdk.images.generate(model=MINI, prompt=PROMPT, aspect_ratio="16:9", output_format="png", n=1)
    assert base64.b64decode(found.data[0].b64_json) == picture(f"{PROMPT}/0")
    assert found.data[0].media_type == "image/png" and found.usage.cost > 0


@pytest.mark.client("openrouter for Python")
def test_openrouter_lists_models_and_endpoints(sdk: openrouter.OpenRouter) -> None:
    listed: Any = sdk.images.list_models()
    assert MINI in {one.id for one in listed.data}
    found: Any = sdk.images.list_model_endpoints(author="openai", slug="gpt-image-1-mini")
    assert found.id == MINI and found.endpoints[0].pricing[0].cost_usd == 8e-06


@pytest.mark.client("openrouter for Python")
def test_openrouter_raises_its_own_errors(sdk: openrouter.OpenRouter) -> None:
    with pytest.raises(errors.BadRequestResponseError, match="is a chat model"):
        sdk.images.generate(model="openai/gpt-5-mini", prompt=PROMPT)
