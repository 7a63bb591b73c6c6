"""Test that the clients which run on Node are pinned, without an address, and named in the documentation."""

from __future__ import annotations

import json
import re

from tests.clients.node_clients import SOURCES
from tests.running import ROOT


def test_each_client_is_pinned_and_documented() -> None:
    pinned = json.loads((SOURCES / "package.json").read_text())["dependencies"]
    page = (ROOT / "docs/clients.md").read_text()
    for name, version in pinned.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} is not pinned to one version"
        assert name == "zod" or f"`{name}` {version}" in page, f"docs/clients.md should say `{name}` {version}"


def test_the_lock_file_has_checksums_and_no_addresses() -> None:
    packages = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    pinned = json.loads((SOURCES / "package.json").read_text())["dependencies"]
    assert packages.pop("")["dependencies"] == pinned
    assert all("resolved" not in package and package["integrity"] for package in packages.values())
