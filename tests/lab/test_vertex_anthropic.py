"""Test that Anthropic's own client of Vertex AI talks to the lab, and what the lab refuses there."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import AnthropicVertex

from lab.gemini_server import GRANT, SCOPE
from lab.vertex_anthropic import VERSION
from tests.lab.scenes import HTTP, marked

MODEL = "claude-sonnet-4-5@20250929"


@pytest.fixture(scope="module")
def token(quiet_lab_url: str) -> str:
    """Return a token that the lab has handed out."""
    now = int(time.time())
    claims = {"iss": "ship@harbour.test", "scope": SCOPE, "iat": now, "exp": now + 3600}
    assertion = f"e30.{urlsafe_b64encode(json.dumps(claims).encode()).decode()}.c2ln"
    form = {"grant_type": GRANT, "assertion": assertion}
    return str(HTTP.post(f"{quiet_lab_url}/_google/token", data=form).json()["access_token"])


@pytest.fixture(scope="module")
def vertex(quiet_lab_url: str, token: str) -> Iterator[AnthropicVertex]:
    """Yield the official client."""
    base = f"{quiet_lab_url}/google-vertex-anthropic/v1"
    with AnthropicVertex(project_id="p", region="r", access_token=token, base_url=base, max_retries=0) as client:
        yield client


def test_the_official_client_gets_messages_and_streams(vertex: AnthropicVertex) -> None:
    messages = [{"role": "user", "content": marked("text")}]
    whole = vertex.messages.create(model=MODEL, max_tokens=99, messages=messages)  # type: ignore[arg-type]
    assert whole.stop_reason == "end_turn" and whole.model == MODEL
    with vertex.messages.stream(model=MODEL, max_tokens=99, messages=messages) as stream:  # type: ignore[arg-type]
        assert stream.get_final_message().content[0].type == "text"
    with pytest.raises(anthropic.BadRequestError, match="URL sources"):
        image = {"type": "image", "source": {"type": "url", "url": "https://harbour.example/a.png"}}
        vertex.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": [image]}])  # type: ignore[typeddict-item,list-item]


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        ("predict", {}, {}, 404),
        ("rawPredict", {}, {"authorization": "Bearer other"}, 401),
        ("rawPredict", {"anthropic_version": "2020-01-01"}, {}, 400),
        ("rawPredict", {"model": MODEL}, {}, 400),
        ("rawPredict", {"max_tokens": 0}, {}, 400),
    ],
)
def test_what_vertex_refuses_is_refused(
    quiet_lab_url: str, token: str, method: str, body: dict[str, object], headers: dict[str, str], status: int
) -> None:
    path = f"google-vertex-anthropic/v1/projects/p/locations/r/publishers/anthropic/models/{MODEL}:{method}"
    sent = {"anthropic_version": VERSION, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]} | body
    answer = HTTP.post(f"{quiet_lab_url}/{path}", json=sent, headers={"authorization": f"Bearer {token}"} | headers)
    assert answer.status_code == status and answer.json()["error"]["message"]
