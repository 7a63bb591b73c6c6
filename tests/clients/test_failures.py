"""Test that the official SDKs raise their own errors when a provider fails."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import ServedModel, asking

pytestmark = pytest.mark.slow
ERRORS = {429: ("RateLimitError", "rate_limit_error"), 529: ("OverloadedError", "overloaded_error")}


def ask_python(served: ServedModel, scenario: str, stream: bool) -> tuple[str, int | None, Any]:
    """Return the name, the status and the body of the error that the Python SDK raises."""
    body: Any = {
        "model": served.model,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": asking(scenario)}],
    }
    with anthropic.Anthropic(base_url=served.stack.url, api_key=served.stack.key, max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            if stream:
                with client.messages.stream(**body) as events:
                    events.until_done()
            else:
                client.messages.create(**body)
    return type(caught.value).__name__, caught.value.status_code, caught.value.body


@pytest.mark.client("anthropic for Python")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", sorted(ERRORS))
def test_a_refused_call_is_the_sdks_error(served: ServedModel, stream: bool, status: int) -> None:
    name, got, body = ask_python(served, f"error_before:{status}", stream)
    assert (got, name) == (status, ERRORS[status][0])
    assert body["type"] == "error" and body["error"]["type"] == ERRORS[status][1]


@pytest.mark.client("anthropic for Python")
def test_a_stream_that_fails_is_the_sdks_error(served: ServedModel) -> None:
    _name, _status, body = ask_python(served, "error_mid", True)
    assert body["type"] == "error" and body["error"]["type"] in ("api_error", "overloaded_error")


@pytest.mark.client("@anthropic-ai/sdk")
def test_errors_reach_the_sdk_for_node(served: ServedModel, node: NodeClients) -> None:
    found = node.run("anthropic_sdk.mjs", "failures", **served.environment())
    assert [one["status"] for one in found] == [429, 529, None]
    assert [one["type"] for one in found[:2]] == ["rate_limit_error", "overloaded_error"]
    assert found[2]["type"] in ("api_error", "overloaded_error")
