"""Serve a lab without latencies and chance failures, and open the vendors' own clients to it."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from lab.server import Lab, create_app
from tests.conftest import serving


@pytest.fixture(scope="session")
def quiet_lab_url() -> Iterator[str]:
    """Yield the address of the lab."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as url:
        yield url


@pytest.fixture(scope="session")
def openai_sdk(quiet_lab_url: str) -> Iterator[openai.OpenAI]:
    """Yield the official client of OpenAI."""
    with openai.OpenAI(base_url=f"{quiet_lab_url}/openai/v1", api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def anthropic_sdk(quiet_lab_url: str) -> Iterator[anthropic.Anthropic]:
    """Yield the official client of Anthropic."""
    with anthropic.Anthropic(base_url=f"{quiet_lab_url}/anthropic", api_key="key", max_retries=0) as client:
        yield client
