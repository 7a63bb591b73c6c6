"""Test that the lab's chat of Cohere refuses scenarios which Cohere's wire format does not have."""

from __future__ import annotations

from typing import Any

import cohere
import pytest

from tests.lab.scenes import HTTP, marked


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("scenario", "unsaid"),
    [("blocked", "a prompt that is blocked"), ("draw", "an image that the model has made")],
)
def test_a_scenario_of_another_format_is_refused(quiet_lab_url: str, scenario: str, unsaid: str, stream: bool) -> None:
    messages = [{"role": "user", "content": marked(scenario)}]
    body: dict[str, Any] = {"model": "command-a-03-2025", "messages": messages, "stream": stream}
    found = HTTP.post(f"{quiet_lab_url}/cohere/v2/chat", json=body, headers={"authorization": "Bearer key"})
    expected = f"The scenario '{scenario}' shows {unsaid}, which this wire format does not have."
    assert (found.status_code, found.json()["message"]) == (400, expected)


@pytest.mark.parametrize("documents", [["The tide turns."], [{"data": {"text": "The tide turns."}}]])
def test_documents_may_be_texts_and_need_no_id(quiet_lab_url: str, documents: list[Any]) -> None:
    with cohere.ClientV2(api_key="key", base_url=f"{quiet_lab_url}/cohere") as client:
        messages: Any = [{"role": "user", "content": marked("citations")}]
        found = client.chat(model="command-a-03-2025", messages=messages, documents=documents)
    ((source,),) = [one.sources or [] for one in found.message.citations or []]
    assert (source.id, source.type) == ("doc:0", "document")


def test_vectors_come_in_every_type(quiet_lab_url: str) -> None:
    kinds: Any = ["float", "base64", "int8", "uint8", "binary", "ubinary"]
    with cohere.ClientV2(api_key="key", base_url=f"{quiet_lab_url}/cohere") as client:
        found = client.embed(
            model="embed-v4.0", input_type="search_query", texts=["a"], embedding_types=kinds, output_dimension=256
        ).embeddings
    assert found.float_ and found.int8 and found.uint8 and found.binary and found.ubinary and found.base64
    assert [len(one[0]) for one in (found.float_, found.int8, found.uint8)] == [256] * 3
    assert len(found.binary[0]) == len(found.ubinary[0]) == 32
    assert [one + 128 for one in found.int8[0]] == found.uint8[0]
