"""Test Google's answers through a running router, in front of the lab that refuses what Google refuses."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from lab.scenarios import CHART
from tests.conftest import Stack

IMAGE_MODEL, FLASH = "google/gemini-2.5-flash-image", "google/gemini-3-flash-preview"
DATA_URL = f"data:image/png;base64,{CHART}"
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


def asked(scenario: str, **fields: Any) -> dict[str, Any]:
    """Return a chat request that the lab answers by ``scenario``."""
    return {"model": FLASH, "messages": [{"role": "user", "content": f"Now? [lab:scenario={scenario}]"}]} | fields


def message_of(client: openai.OpenAI, stream: bool, **body: Any) -> dict[str, Any]:
    """Return the message of an answer."""
    if stream:
        with client.chat.completions.stream(**body) as events:
            found = events.get_final_completion().choices[0].message
        return found.model_dump(exclude_none=True, exclude={"parsed": True})
    return client.chat.completions.create(**body).choices[0].message.model_dump(exclude_none=True)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_image_is_shown_and_edited_through_chat_completions(client: openai.OpenAI, stream: bool) -> None:
    """``message.images`` goes back to the model that has made it, which the lab would refuse if it were changed."""
    first = asked("draw", model=IMAGE_MODEL, extra_body={"modalities": ["image", "text"]})
    message = message_of(client, stream, **first)
    (image,) = message["images"]
    assert image["image_url"]["url"] == DATA_URL and message["content"] == "Here is the chart."
    again = first | {"messages": [*first["messages"], message, *asked("text")["messages"]]}
    assert message_of(client, stream, **again)["content"]


def test_an_image_is_shown_through_the_other_apis(market: Stack, client: openai.OpenAI) -> None:
    """The messages API has it as a link in its text, the Responses API as the item of an image."""
    prompt = asked("draw")["messages"]
    with anthropic.Anthropic(base_url=market.url, api_key=market.key, max_retries=0) as other:
        said = other.messages.create(model=IMAGE_MODEL, max_tokens=99, messages=prompt)
    texts = [block.text for block in said.content if block.type == "text"]
    assert texts == ["Here is the chart.", f"![image]({DATA_URL})"]
    item = client.responses.create(model=IMAGE_MODEL, input=prompt).output[-1]
    assert item.type == "image_generation_call" and item.result == CHART


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_search_is_cited(client: openai.OpenAI, stream: bool) -> None:
    """``web_search_options`` asks for Google's search, whose sources are annotations."""
    message = message_of(client, stream, **asked("hosted", web_search_options={}))
    (annotation,) = message["annotations"]
    cited = annotation["url_citation"]
    assert cited["url"] == "https://harbour.example/tides"
    assert message["content"][cited["start_index"] : cited["end_index"]] == cited["content"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_blocked_prompt_is_refused_and_a_cut_answer_says_so(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="blocked the prompt"):
        client.chat.completions.create(**asked("blocked", stream=stream))
    unsafe = client.chat.completions.create(**asked("refusal"))
    assert unsafe.choices[0].finish_reason == "content_filter"


def test_a_signature_of_another_account_is_sent_once_and_left_out_then(market: Stack, client: openai.OpenAI) -> None:
    """The vendor refuses it, and the conversation goes on."""
    details = [{"type": "reasoning.encrypted", "data": "c2lnbmVk", "format": "google-gemini-v1", "index": 0}]
    earlier = {"role": "assistant", "content": "High.", "reasoning_details": details}
    body = asked("text")
    body["messages"] = [{"role": "user", "content": "Hello."}, earlier, *body["messages"]]
    before = market.lab.refused.total()
    assert message_of(client, False, **body)["content"]
    assert market.lab.refused.total() == before + 1
