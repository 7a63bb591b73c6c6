"""Test that a prompt which a client has cached at Google is read by its name through a router, and priced as cached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from lab.server import Lab, create_app
from tests.conftest import Stack, open_stack, serving
from tests.lab.google_clients import studio_client

MODEL, NAME = "google/gemini-2.5-flash", "gemini-2.5-flash"
TIDES = "The tide turns twice a day. " * 300
TOKENS = len(TIDES) // 4


@pytest.fixture(scope="module")
def cached(market: Stack) -> Iterator[str]:
    """Yield the name of a cache that Google's own client has made with the key that the router calls with."""
    endpoint = next(one for one in market.services.endpoints[MODEL] if one.provider == "google")
    with studio_client((endpoint.base_url or "").removesuffix("/google/v1"), "lab") as google:
        made = google.caches.create(model=NAME, config={"contents": [TIDES], "ttl": "300s"})
        yield made.name or ""
        google.caches.delete(name=made.name or "")


def asked(client: openai.OpenAI, **fields: Any) -> Any:
    """Return the raw response to a question with ``fields``."""
    turns: Any = [{"role": "user", "content": "Ebb or flood? [lab:scenario=text]"}]
    return client.chat.completions.with_raw_response.create(model=MODEL, messages=turns, **fields)


@pytest.mark.parametrize("wrapped", [False, True], ids=["field", "extra_body"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_cache_is_read_by_its_name(
    client: openai.OpenAI, market: Stack, cached: str, stream: bool, wrapped: bool
) -> None:
    """Check that what is read has the price of cached tokens in the sheet of the endpoint."""
    market.lab.refused.clear()
    body: Any = {"cached_content": cached}
    found = asked(client, stream=stream, extra_body={"extra_body": {"google": body}} if wrapped else body)
    if stream:
        assert any(chunk.choices and chunk.choices[0].delta.content for chunk in found.parse())
    row = market.record(found.headers["x-generation-id"])
    price = next(one.price for one in market.services.endpoints[MODEL] if one.id == row["endpoint"])
    assert price is not None and price.cache_read is not None and price.cache_read < price.prompt
    charges = {one["meter"]: (one["quantity"], one["nano"]) for one in row["charges"]}
    assert charges["input_cache_read"] == (TOKENS, (TOKENS * price.cache_read + 500_000) // 1_000_000)
    assert charges["prompt"][0] == row["prompt_tokens"] - TOKENS > 0
    assert not row["dropped_parameters"] and not market.lab.refused


def test_a_cache_of_another_project_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match=r"CachedContent not found \(or permission denied\)"):
        asked(client, extra_body={"cached_content": "cachedContents/none"})


def test_of_several_projects_the_one_with_the_cache_is_found(tmp_path: Path) -> None:
    """A request takes both turns, so that the next one begins with the wrong key too. Neither rests afterwards."""
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    with serving(create_app(lab)) as url, studio_client(url, "second") as google:
        name = google.caches.create(model=NAME, config={"contents": [TIDES]}).name
        file = tmp_path / "portolan.toml"
        file.write_text(f'[providers.google]\nbase_url = "{url}/google/v1"\nkey = ["first", "second"]\n')
        with (
            open_stack(tmp_path / "data", lab, config=file) as stack,
            openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client,
        ):
            for _ in range(2):
                found = asked(client, extra_body={"cached_content": name})
                row = stack.record(found.headers["x-generation-id"])
                assert row["cached_tokens"] == TOKENS and len(row["attempts"]) == 1
            assert lab.refused.total() == 2
            with pytest.raises(openai.APIStatusError, match="CachedContent not found"):
                asked(client, extra_body={"cached_content": "cachedContents/none"})
            assert lab.refused.total() == 4
