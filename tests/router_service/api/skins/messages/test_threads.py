"""Test that conversations which a server is to keep are refused in such a way that the SDKs send them in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from anthropic.types import ThreadUnsupportedRequestError

from tests.conftest import Stack
from tests.router_service.api.skins.messages.parsing import parsed, refused

MODELS = ["anthropic/claude-sonnet-4.5", "openai/gpt-oss-120b"]
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


@beta_tool
def weather(place: str) -> str:
    """Look up the weather.

    Args:
        place: The name of a place.
    """
    return f"It rains in {place}."


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, 5])
def test_a_thread_is_refused(thread: Any) -> None:
    assert refused(thread=thread).startswith("thread: this router keeps no conversations")
    # A thread that paused within a turn goes on without messages.
    assert refused([], thread=thread).startswith("thread: ")
    assert parsed(thread=None).extras == {}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_tool_runner_comes_to_its_end(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    """It begins a thread unasked, and later turns would have the new messages alone."""
    body: Any = {"model": model, "max_tokens": 200, "messages": HELLO, "tools": [weather], "stream": stream}
    message = client.beta.messages.tool_runner(**body).until_done()
    assert message.stop_reason in ("end_turn", "max_tokens") and message.content[0].type == "text"


def test_a_thread_of_the_sdk_is_its_error(client: anthropic.Anthropic) -> None:
    thread = client.beta.messages.thread(model=MODELS[0], max_tokens=50)
    with pytest.raises(ThreadUnsupportedRequestError, match="send all messages") as caught:
        thread.send(HELLO[0])
    assert caught.value.details.error_code == "thread_unsupported_request"
    unthreaded = client.beta.messages.thread(
        model=MODELS[0], max_tokens=50, unsupported_request_behavior="continue_unthreaded"
    )
    assert unthreaded.send(HELLO[0]).content and unthreaded.send(HELLO[0]).content
    assert len(unthreaded.messages) == 4
