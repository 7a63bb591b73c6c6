"""Serve a strict market for a session of client tests, and install the clients that run on Node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.server import Lab
from tests.clients.node_clients import NodeClients, install
from tests.clients.served import MODELS, ServedModel
from tests.conftest import Stack, open_stack


@pytest.fixture(scope="module")
def strict_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router in front of a lab in which every provider refuses what the vendor refuses."""
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    with open_stack(tmp_path_factory.mktemp("clients"), lab) as opened:
        yield opened


@pytest.fixture(params=sorted(MODELS))
def served(request: pytest.FixtureRequest, strict_stack: Stack) -> Iterator[ServedModel]:
    """Yield a model of each wire format; afterwards the lab has been called and has refused nothing."""
    strict_stack.lab.calls.clear()
    strict_stack.lab.refused.clear()
    found = ServedModel(strict_stack, request.param)
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
