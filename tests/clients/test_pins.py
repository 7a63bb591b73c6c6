"""Test that every client is pinned, tried by a test, and named with its version in the documentation."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from tests.clients import node_clients, python_clients
from tests.clients.pins import CLIENTS, version
from tests.running import ROOT


def test_each_client_is_documented_with_its_version() -> None:
    page = (ROOT / "docs/clients.md").read_text()
    for name, client in CLIENTS.items():
        wanted = f"`{client.package}` {version(name)}"
        assert wanted in page, f"docs/clients.md should say {wanted}"


def test_each_client_is_tried() -> None:
    """A name in a marker that is no client would never be reported, nor would a client without a marker."""
    marked = {name for path in Path(__file__).parent.glob("test_*.py") for name in _marked(path)}
    assert marked == set(CLIENTS)


def _marked(path: Path) -> set[str]:
    """Return the strings in the arguments of the markers for clients, and in the constants that those name."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.client":
            found |= {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CLIENT_NAMES":
            found |= set(ast.literal_eval(node.value))
    return found


def test_each_package_for_node_has_one_version_and_a_checksum() -> None:
    pinned = json.loads((node_clients.SOURCES / "package.json").read_text())
    packages = json.loads((node_clients.SOURCES / "package-lock.json").read_text())["packages"]
    for kind in ("dependencies", "optionalDependencies"):
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", number) for number in pinned[kind].values())
        assert packages[""][kind] == pinned[kind]
    del packages[""]
    assert all("resolved" not in package and package["integrity"] for package in packages.values())


def test_each_package_for_python_has_one_version_and_no_address() -> None:
    for path in python_clients.SOURCES.glob("*.txt"):
        for line in path.read_text().splitlines():
            assert re.fullmatch(r"[a-z0-9_.-]+(\[[a-z,]+\])?==\S+( ; .+)?", line), f"{path.name}: {line}"
