"""Open a router in front of a strict lab for the tests of the Gemini format."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from lab.server import Lab
from tests.conftest import Stack, open_stack


@pytest.fixture(scope="package")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router in front of a lab that is strict."""
    with open_stack(tmp_path_factory.mktemp("gemini"), Lab(time_scale=0.0, faults=False, strict=True)) as opened:
        yield opened


@pytest.fixture(scope="package")
def client(market: Stack) -> Iterator[openai.OpenAI]:
    """Yield the official client of chat completions."""
    with openai.OpenAI(base_url=f"{market.url}/v1", api_key=market.key, max_retries=0) as found:
        yield found
