"""Serve a strict market for a session of client tests, and install the clients that run on Node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.server import Lab
from tests.clients.node_clients import NodeClients, install
from tests.clients.proxy import proxy  # noqa: F401
from tests.clients.report import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
    pytest_terminal_summary,
)
from tests.clients.served import MODELS, RESPONSES_MODELS, THINKING_MODELS, ServedModel
from tests.conftest import Stack, open_stack

# Every provider here shows the thinking of its models.
SHOWS_THINKING = '[catalogue]\nenabled = ["anthropic", "deepseek"]\n'


@pytest.fixture(scope="module")
def strict_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router in front of a lab in which every provider refuses what the vendor refuses."""
    with open_stack(tmp_path_factory.mktemp("clients"), _strict_lab()) as opened:
        yield opened


@pytest.fixture(scope="module")
def thinking_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield the same with the vendors alone that show the thinking of their models."""
    folder = tmp_path_factory.mktemp("thinking")
    (folder / "portolan.toml").write_text(SHOWS_THINKING)
    with open_stack(folder, _strict_lab(), config=folder / "portolan.toml") as opened:
        yield opened


def _strict_lab() -> Lab:
    return Lab(time_scale=0.0, faults=False, strict=True, unmarked="comply")


@pytest.fixture(params=sorted(MODELS))
def served(request: pytest.FixtureRequest, strict_stack: Stack) -> Iterator[ServedModel]:
    """Yield a model of each wire format; afterwards the lab has been called and has refused nothing."""
    yield from serve_model(strict_stack, request.param, MODELS[request.param])


@pytest.fixture(params=sorted(THINKING_MODELS))
def thinking(request: pytest.FixtureRequest, thinking_stack: Stack) -> Iterator[ServedModel]:
    """Yield a model of each wire format that shows what it thinks."""
    yield from serve_model(thinking_stack, request.param, THINKING_MODELS[request.param])


@pytest.fixture(params=sorted(RESPONSES_MODELS))
def served_responses(request: pytest.FixtureRequest, strict_stack: Stack) -> Iterator[ServedModel]:
    """Yield a model of each of the three wire formats."""
    yield from serve_model(strict_stack, request.param, RESPONSES_MODELS[request.param])


def serve_model(stack: Stack, wire_format: str, model: str) -> Iterator[ServedModel]:
    """Yield ``model``, whose endpoints have ``wire_format``; afterwards they were called, and none has refused."""
    stack.lab.calls.clear()
    stack.lab.refused.clear()
    found = ServedModel(stack, wire_format, model)
    yield found
    found.check_calls()


@pytest.fixture(scope="session")
def installed_node() -> Path:
    """Return the folder with the installed packages, or skip the tests that need them."""
    return install()


@pytest.fixture
def node(installed_node: Path, tmp_path: Path) -> NodeClients:
    """Return what runs programs on Node, with a home of their own."""
    return NodeClients(installed_node, tmp_path / "home")
