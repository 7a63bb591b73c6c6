"""Test that Claude at a project of Google Cloud is called at its address, with the project's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from data.catalogue import load_catalogue
from lab.server import Lab, create_app
from router_service.configuration.market import make_market
from router_service.configuration.read_file import read_configuration
from router_service.settings import Settings
from tests.conftest import open_stack, serving
from tests.router_service.configuration.test_google_cloud import key_at, written

TABLE, MODEL = "providers.google-vertex-anthropic", "anthropic/claude-sonnet-4.5"
PROJECT = "projects/harbour/locations/europe-west1/publishers/anthropic"


def test_the_address_has_the_publisher(tmp_path: Path) -> None:
    """Call Claude alone there, in the messages format."""
    text = f'[{TABLE}]\nproject = "harbour"\nlocation = "europe-west1"\nservice_account = "{key_at(tmp_path)}"\n'
    catalogue = load_catalogue()
    market = make_market(catalogue, read_configuration(written(tmp_path, text), catalogue), Settings(data_dir=tmp_path))
    found = [e for offers in market.endpoints.values() for e in offers if e.provider == "google-vertex-anthropic"]
    address = f"https://europe-west1-aiplatform.googleapis.com/v1/{PROJECT}"
    assert {(e.wire_format, e.base_url) for e in found} == {("anthropic_messages", address)}
    assert MODEL in {e.model for e in found}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_conversation_with_tools_and_thinking_goes_to_the_project(tmp_path: Path, stream: bool) -> None:
    """The lab refuses a model and a wrong version in the body, other tokens than its own, and foreign signatures."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as vertex:
        account = key_at(tmp_path, token_uri=f"{vertex}/_google/token")
        text = f'[{TABLE}]\nproject = "harbour"\nlocation = "europe-west1"\nservice_account = "{account}"\n'
        text += f'base_url = "{vertex}/google-vertex-anthropic/v1/{PROJECT}"\n'
        text += '[catalogue]\nenabled = ["google-vertex-anthropic"]\n'
        with open_stack(tmp_path / "data", config=written(tmp_path, text)) as stack:
            with anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
                asked: list[Any] = [{"role": "user", "content": "Now? [lab:scenario=tool_loop:1]"}]
                tools = [{"name": "find", "input_schema": {"type": "object", "properties": {}}}]
                body: dict[str, Any] = {"model": MODEL, "max_tokens": 4000, "tools": tools}
                body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
                first = message_of(client, stream, messages=asked, **body)
                content = [block.model_dump(exclude_none=True) for block in first.content]
                assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]
                result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "High water."}
                turns = [*asked, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
                final = message_of(client, stream, messages=turns, **body)
                assert "High water." in final.content[-1].text
        counts = httpx2.get(f"{vertex}/_log").json()
    assert counts["calls"] == {"google-vertex-anthropic:claude-sonnet-4-5@20250929": 2} and not counts["refused"]


def message_of(client: anthropic.Anthropic, stream: bool, **body: Any) -> Any:
    """Return the message."""
    if stream:
        with client.messages.stream(**body) as events:
            return events.get_final_message()
    return client.messages.create(**body)
