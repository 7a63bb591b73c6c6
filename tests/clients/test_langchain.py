"""Test chat completions with LangChain's standard integration suite for chat models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.clients.conftest import serve_model
from tests.clients.python_clients import SOURCES, open_client
from tests.clients.served import MODELS, PDF, PNG, WAV, ServedModel
from tests.conftest import Stack

pytestmark = [pytest.mark.slow, pytest.mark.client("langchain-openai")]
# The benchmark replays recordings of a provider, which there are none of.
BENCHMARK = {"test_stream_time": "VCR not set up."}
# Of the three models Google's alone hears.
DEAF = {"test_audio_inputs": "Model does not support audio inputs."}
TESTS = 50
OTHER_MODELS = {
    "anthropic_messages": "anthropic/claude-haiku-4.5",
    "gemini": "google/gemini-2.5-flash",
    "openai_chat": "openai/gpt-4.1",
}
GEMINI_MODEL = "google/gemini-3-flash-preview"
OPTIONS = (
    "--capture=no",
    "-pno:cacheprovider",
    "-oasyncio_mode=auto",
    # LangChain keeps one HTTP client for all its models, so all tests share an event loop.
    "-oasyncio_default_test_loop_scope=session",
)


@pytest.fixture(params=sorted(OTHER_MODELS))
def suited(request: pytest.FixtureRequest, strict_stack: Stack) -> Iterator[ServedModel]:
    """Yield a model of each wire format that the suite is run on."""
    models = MODELS | {"gemini": GEMINI_MODEL}
    yield from serve_model(strict_stack, request.param, models[request.param])


def test_the_standard_suite_passes(suited: ServedModel, tmp_path: Path) -> None:
    client = open_client("langchain", tmp_path / "home")
    suite = shutil.copy(SOURCES / "langchain_suite.py", tmp_path)
    found = tmp_path / "found.xml"
    hears = suited.wire_format == "gemini"
    variables = suited.environment() | {
        "PORTOLAN_OTHER_MODEL": OTHER_MODELS[suited.wire_format],
        "PORTOLAN_HEARS": "yes" if hears else "no",
        "PNG": PNG,
        "PDF": PDF,
        "WAV": WAV,
    }
    # The suite's own configuration keeps out that of a folder above.
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    client.start("-m", "pytest", "-q", suite, f"--junitxml={found}", *OPTIONS, cwd=tmp_path, **variables)
    cases = list(ElementTree.parse(found).iter("testcase"))
    skipped = {case.attrib["name"]: skip.attrib["message"] for case in cases for skip in case.iter("skipped")}
    assert skipped == (BENCHMARK if hears else BENCHMARK | DEAF)
    assert len(cases) == TESTS
