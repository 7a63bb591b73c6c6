"""Serve a lab without latencies and chance failures, and open the vendors' own clients to it."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai

from lab.server import Lab, create_app
from tests.conftest import serving
from tests.lab.google_clients import granted_token, studio_client, vertex_client


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


@pytest.fixture(scope="session")
def google(quiet_lab_url: str) -> Iterator[genai.Client]:
    """Yield the official client of Google at AI Studio."""
    with studio_client(quiet_lab_url) as client:
        yield client


@pytest.fixture(scope="session")
def vertex(quiet_lab_url: str) -> Iterator[genai.Client]:
    """Yield the official client of Google at Vertex AI."""
    with vertex_client(quiet_lab_url, granted_token(quiet_lab_url)) as client:
        yield client
