"""Test that Claude at Amazon Bedrock can be called in the format of Anthropic, the other models in Amazon's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from lab.server import Lab, create_app
from tests.conftest import Stack, open_stack, serving
from tests.router_service.providers.formats.bedrock_converse.converse_world import account_file

CLAUDE, NOVA = "anthropic/claude-sonnet-4.5", "amazon/nova-2-lite-v1"
ONLY: dict[str, Any] = {"provider": {"only": ["amazon-bedrock"]}}
MODES = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router that signs its requests to a strict lab."""
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    folder = tmp_path_factory.mktemp("invoked")
    with serving(create_app(lab)) as aws:
        file = account_file(folder, aws, more='[catalogue]\nenabled = ["amazon-bedrock"]\n')
        text = file.read_text().replace('/v1"\n', '/v1"\nwire_format = "anthropic_messages"\n', 1)
        file.write_text(text)
        with open_stack(folder / "data", lab, config=file) as opened:
            yield opened


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as found:
        yield found


def test_the_format_is_that_of_claude_alone(stack: Stack) -> None:
    offers = [one for found in stack.services.endpoints.values() for one in found if one.provider == "amazon-bedrock"]
    formats = {(one.wire_format, one.model.startswith("anthropic/")) for one in offers if one.task == "chat"}
    assert formats == {("anthropic_messages", True), ("bedrock_converse", False)}


@MODES
def test_a_conversation_with_tools_and_thinking_is_invoked(
    stack: Stack, client: anthropic.Anthropic, stream: bool
) -> None:
    """The lab refuses a model, a stream and a header for betas, and signatures that are not its own."""
    stack.lab.refused.clear()
    turns: list[Any] = [{"role": "user", "content": "Now? [lab:scenario=tool_loop:1]"}]
    body: dict[str, Any] = {"model": CLAUDE, "max_tokens": 4000, "extra_body": ONLY}
    body["tools"] = [{"name": "find", "input_schema": {"type": "object", "properties": {}}}]
    body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    body["extra_headers"] = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    first = message_of(client, stream, messages=turns, **body)
    content = [block.model_dump(exclude_none=True) for block in first.content]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "High water."}
    turns += [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    assert "High water." in message_of(client, stream, messages=turns, **body).content[-1].text
    assert not stack.lab.refused


def test_a_mark_of_the_prompt_is_written_and_read(stack: Stack, client: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": "The tide turns. " * 2000, "cache_control": {"type": "ephemeral"}}]
    used = [
        client.messages.create(
            model=CLAUDE, max_tokens=99, system=system, messages=[{"role": "user", "content": "Ebb?"}], extra_body=ONLY
        ).usage
        for _ in range(2)
    ]
    assert used[0].cache_creation_input_tokens and used[1].cache_read_input_tokens


@MODES
@pytest.mark.parametrize(("fault", "status"), [("error_before:429", 429), ("error_before:503", 503)])
def test_refusals_are_those_of_amazon(stack: Stack, stream: bool, fault: str, status: int) -> None:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as chat:
        turns: Any = [{"role": "user", "content": f"Now? [lab:scenario={fault}]"}]
        with pytest.raises(openai.APIStatusError) as failed:
            chat.chat.completions.create(model=CLAUDE, messages=turns, stream=stream, extra_body=ONLY)
    assert failed.value.status_code == status


def test_an_exception_within_a_stream_is_the_streams_error(stack: Stack, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="unable to process your request"):
        message_of(client, True, model=CLAUDE, max_tokens=99, messages=[said("error_mid")], extra_body=ONLY)


def said(scenario: str) -> Any:
    """Return a message that the lab answers by ``scenario``."""
    return {"role": "user", "content": f"Now? [lab:scenario={scenario}]"}


def message_of(client: anthropic.Anthropic, stream: bool, **body: Any) -> Any:
    """Return the message."""
    if stream:
        with client.messages.stream(**body) as events:
            return events.get_final_message()
    return client.messages.create(**body)
