"""The official clients, unchanged, are the judges of the contract."""

from __future__ import annotations

import openai
import openrouter
import pytest

from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack
from tests.running import until

MODEL = "openai/gpt-oss-120b"
CLAUDE = "anthropic/claude-haiku-4.5"
HELLO = [{"role": "user", "content": "Say hello to the harbour."}]
TOOL = {"type": "function", "function": {"name": "find_port", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
def test_openai_sdk_gets_a_whole_answer_with_cost(stack: Stack, model: str) -> None:
    with openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key) as client:
        answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.model == model
    assert answer.usage.model_dump()["cost"] > 0


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
def test_openai_sdk_streams_and_usage_comes_once_at_the_end(stack: Stack, model: str) -> None:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key) as client:
        chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [c.usage is not None for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_come_back_and_results_are_taken(stack: Stack, model: str, stream: bool) -> None:
    with openai.OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key) as client:
        if stream:
            with client.chat.completions.stream(model=model, messages=HELLO, tools=[TOOL]) as events:
                call = events.get_final_completion().choices[0].message.tool_calls[0]
        else:
            answer = client.chat.completions.create(model=model, messages=HELLO, tools=[TOOL])
            assert answer.choices[0].finish_reason == "tool_calls"
            call = answer.choices[0].message.tool_calls[0]
        assert (call.function.name, call.function.arguments) == ("find_port", '{"place":"Genoa"}')
        said = {"role": "assistant", "tool_calls": [call.model_dump(exclude={"function": {"parsed_arguments"}})]}
        result = {"role": "tool", "tool_call_id": call.id, "content": "44.4 N"}
        final = client.chat.completions.create(model=model, messages=[*HELLO, said, result], tools=[TOOL])
    assert final.choices[0].message.content


def test_both_sdks_retrieve_a_model(stack: Stack) -> None:
    """OpenAI's SDK reads the model itself, the other one reads it under ``data``; the former quotes the slash."""
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key) as client:
        found = client.models.retrieve(MODEL)
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("openai/none")
    assert (found.id, found.object, found.owned_by) == (MODEL, "model", "openai")
    with openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as other:
        model = other.models.get(author="openai", slug="gpt-oss-120b").data
    assert (model.id, model.created) == (MODEL, found.created)


def test_openrouter_sdk_validates_every_shape(stack: Stack) -> None:
    with openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as client:
        answer = client.chat.send(model=MODEL, messages=HELLO)
        assert answer.choices[0].message.content
        with client.chat.send(model=MODEL, messages=HELLO, stream=True) as stream:
            chunks = list(stream)
        assert chunks[-1].usage.cost > 0
        models = client.models.list().result.data
        assert len(models) > 300
        offers = client.endpoints.list(author="openai", slug="gpt-oss-120b").data
        assert len(offers.endpoints) > 5
        assert len(client.providers.list().data) > 50
        generation = client.generations.get_generation(id=answer.id).data
        assert generation.model == MODEL
        assert generation.total_cost == pytest.approx(answer.usage.cost)


def test_a_generation_is_still_found_when_it_is_in_parquet(stack: Stack) -> None:
    with stack.client as client:
        body = {"model": MODEL, "messages": HELLO}
        made = client.post("/api/v1/chat/completions", json=body)
        assert made.headers["x-generation-id"] == made.json()["id"]
        found = client.get("/api/v1/generation", params={"id": made.json()["id"]}).json()["data"]
        assert found["native_tokens_prompt"] == made.json()["usage"]["prompt_tokens"]
        until(lambda: find_on_disk(stack.lake, made.json()["id"]), "the record is in the log")
        assert find_on_disk(stack.lake, made.json()["id"])["model"] == MODEL
