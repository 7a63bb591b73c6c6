"""Test ranking with OpenRouter's SDK for Python through the router, and with Cohere's own against the lab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import openrouter
import pytest
from cohere.core.api_error import ApiError
from openrouter import errors
from openrouter.utils import RetryConfig

from lab.embeddings import unit_vector
from lab.server import Lab, create_app
from tests.conftest import Stack, serving

pytestmark = pytest.mark.slow
DOCUMENTS = ["A chart of the harbour", "When is high tide at Genoa", "A tide table"]


@pytest.fixture
def sdk(strict_stack: Stack) -> Iterator[openrouter.OpenRouter]:
    options: Any = {"api_key": strict_stack.key, "retry_config": RetryConfig("none", None, False)}
    with openrouter.OpenRouter(server_url=f"{strict_stack.url}/api/v1", **options) as made:
        yield made


@pytest.fixture(scope="module")
def vendor() -> Iterator[cohere.ClientV2]:
    """Yield Cohere's own client of the lab."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as url:
        # The client does not close the connections that it makes by itself.
        with httpx.Client() as connections:
            yield cohere.ClientV2(api_key="any", base_url=f"{url}/cohere", httpx_client=connections)


@pytest.mark.client("openrouter for Python")
@pytest.mark.parametrize("documents", [DOCUMENTS, [{"text": one} for one in DOCUMENTS]], ids=["texts", "objects"])
def test_openrouter_ranks(sdk: openrouter.OpenRouter, documents: Any) -> None:
    found: Any = sdk.rerank.rerank(model="cohere/rerank-v3.5", query="high tide", documents=documents, top_n=2)
    assert [one.index for one in found.results] == [1, 2]
    assert [one.document.text for one in found.results] == [DOCUMENTS[1], DOCUMENTS[2]]
    assert (found.usage.search_units, found.usage.cost, found.provider) == (1, 0.002, "Cohere")


@pytest.mark.client("openrouter for Python")
def test_openrouter_raises_its_own_errors(sdk: openrouter.OpenRouter) -> None:
    with pytest.raises(errors.BadRequestResponseError, match="query is missing or empty"):
        sdk.rerank.rerank(model="cohere/rerank-v3.5", query="", documents=["a"])


def test_the_lab_ranks_for_coheres_own_client(vendor: cohere.ClientV2) -> None:
    found = vendor.rerank(model="rerank-v3.5", query="high tide", documents=DOCUMENTS, top_n=2)
    assert [one.index for one in found.results] == [1, 2]
    assert found.meta and found.meta.billed_units and found.meta.billed_units.search_units == 1


@pytest.mark.parametrize(("model", "length"), [("embed-v4.0", 1536), ("embed-english-v3.0", 1024)])
def test_the_lab_embeds_for_coheres_own_client(vendor: cohere.ClientV2, model: str, length: int) -> None:
    found = vendor.embed(model=model, texts=["one"], input_type="search_query", embedding_types=["float", "base64"])
    assert found.embeddings.float_ == [unit_vector("one", length)] and found.embeddings.base64
    assert found.meta and found.meta.billed_units and found.meta.billed_units.input_tokens == 1


@pytest.mark.parametrize(
    ("asked", "status", "sentence"),
    [
        ({"documents": []}, 400, "list of documents must not be empty"),
        ({"model": "rerank-v9"}, 404, "model 'rerank-v9' not found"),
        ({"model": "embed-v4.0"}, 404, "model 'embed-v4.0' not found"),
        ({"documents": ["a"] * 10_001}, 400, "number of total max chunks"),
    ],
)
def test_the_lab_refuses_what_cohere_refuses(
    vendor: cohere.ClientV2, asked: dict[str, Any], status: int, sentence: str
) -> None:
    with pytest.raises(ApiError) as refused:
        vendor.rerank(**{"model": "rerank-v3.5", "query": "tide", "documents": ["a"]} | asked)
    assert refused.value.status_code == status and sentence in refused.value.body["message"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"texts": ["a"] * 97}, "total number of texts must be at most 96 - received 97"),
        ({"input_type": "poem"}, "valid input_type must be provided"),
        ({"texts": []}, "exactly one of texts, images or inputs"),
        ({"model": "embed-english-v3.0", "output_dimension": 256}, "output_dimension is not supported"),
        ({"output_dimension": 7}, "output_dimension must be one of"),
    ],
)
def test_the_lab_refuses_embeddings_that_cohere_refuses(
    vendor: cohere.ClientV2, asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ApiError) as refused:
        vendor.embed(**{"model": "embed-v4.0", "texts": ["a"], "input_type": "search_query"} | asked)
    assert refused.value.status_code == 400 and sentence in refused.value.body["message"]
