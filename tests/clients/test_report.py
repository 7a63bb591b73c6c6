"""Test what a run says about clients: which ran, which were skipped and why, and when a skip is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.report import summary
from tests.running import ROOT

SUITE = """
import pytest
from tests.clients.report import pytest_collection_modifyitems, pytest_runtest_makereport, pytest_terminal_summary

@pytest.fixture
def absent():
    pytest.skip("There is no registry")

@pytest.mark.client("aider")
def test_aider(absent):
    pass

@pytest.mark.client("litellm")
@pytest.mark.parametrize("number", [1, 2])
def test_litellm(number):
    pass

def test_other(absent):
    pass
"""


@pytest.mark.parametrize(("required", "status", "says"), [("", 0, "1 skipped"), ("1", 1, "1 failed")])
def test_a_run_says_which_clients_were_tried(tmp_path: Path, required: str, status: int, says: str) -> None:
    (tmp_path / "conftest.py").write_text(SUITE.split("@pytest.fixture")[0])
    (tmp_path / "test_clients.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = client: a client\n")
    command = [sys.executable, "-m", "pytest", "-pno:cacheprovider", str(tmp_path)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "REQUIRE_CLIENTS": required}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stdout
    lines = done.stdout.splitlines()
    (aider,) = [line for line in lines if " aider " in line and line.startswith(("SKIPPED ", "FAILED "))]
    assert aider.startswith("FAILED" if required else "SKIPPED")
    assert f"{says} (" in aider and "There is no registry" in aider
    assert any(line.startswith("RAN") and line.endswith("2 passed") and "litellm" in line for line in lines)
    assert any("opencode" in line and "no test was selected" in line for line in lines)


def test_a_run_without_clients_says_nothing() -> None:
    assert list(summary([])) == []
