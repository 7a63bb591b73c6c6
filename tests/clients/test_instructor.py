"""Test chat completions with Instructor, which makes models of Pydantic from answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.python_clients import PythonClient, open_client
from tests.clients.served import ServedModel, calling, saying

pytestmark = [pytest.mark.slow, pytest.mark.client("instructor")]
MODES = pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
HARBOUR = {"place": "Genoa", "depth": 7}
# No field of a list is required, so a model that gives the required ones alone has to be told.
ITEMS = {"tasks": [HARBOUR, {"place": "Zena", "depth": 9}]}
FLEET = {"home": HARBOUR, "ships": ["Genoa"]}


@pytest.fixture
def client(tmp_path: Path) -> PythonClient:
    return open_client("instructor", tmp_path / "home")


def use(client: PythonClient, served: ServedModel, case: str, mode: str) -> Any:
    """Return what the script found in ``case``."""
    prompt = "Describe the harbour."
    if case in ("items", "whole_list"):
        prompt = calling(("IterableHarbour", ITEMS)) if mode == "TOOLS" else saying(json.dumps(ITEMS))
    return client.ask("instructor_sdk.py", case, mode, **served.environment(), PROMPT=prompt)


@MODES
def test_a_model_is_made(client: PythonClient, served: ServedModel, mode: str) -> None:
    assert use(client, served, "model", mode) == FLEET


@MODES
def test_a_model_grows_while_it_is_streamed(client: PythonClient, served: ServedModel, mode: str) -> None:
    count, last = use(client, served, "partial", mode)
    assert count > 1 and last == FLEET


@MODES
def test_the_items_of_a_list_are_streamed(client: PythonClient, served: ServedModel, mode: str) -> None:
    assert use(client, served, "items", mode) == ITEMS["tasks"]


def test_a_list_is_made(client: PythonClient, served: ServedModel) -> None:
    assert use(client, served, "whole_list", "TOOLS") == ITEMS["tasks"]


@MODES
def test_the_completion_comes_with_the_model(client: PythonClient, served: ServedModel, mode: str) -> None:
    found, usage = use(client, served, "completion", mode)
    assert found == HARBOUR and usage["prompt_tokens"] > 0 and usage["cost"] > 0
