"""Test the items of an answer: annotations, log probabilities, media and items of a dialect."""

from __future__ import annotations

import json

from msgspec import Raw

from router_service.core.events import (
    Began,
    Ended,
    Event,
    Finished,
    PartBegan,
    PartDelta,
    PartEnded,
)
from router_service.core.parts import Citation, Media, Opaque, Text
from tests.router_service.api.skins.responses.rendering import Rendering, answer


def test_citations_are_annotations() -> None:
    own = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 0}
    citations = [
        Citation(url="https://a.example", title="A", cited_text="so"),
        Citation(url="https://b.example", start=1, end=2),
        Citation(dialect="openai_responses", raw=Raw(json.dumps(own).encode())),
        Citation(dialect="openai_responses", raw=Raw(b'{"type":"unknown"}'), url="https://c.example"),
    ]
    events: list[Event] = [Began(), PartBegan(0, 0, Text(text="It is", citations=citations[:1]))]
    events += [PartDelta(choice=0, index=0, citation=one) for one in citations[1:]]
    events += [PartEnded(choice=0, index=0), Finished(choice=0, reason="stop"), Ended()]
    sent = Rendering().stream(events)
    found = sent[-1]["response"]["output"][0]["content"][0]["annotations"]
    assert found == [
        {
            "type": "url_citation",
            "url": "https://a.example",
            "title": "A",
            "start_index": 0,
            "end_index": 5,
            "content": "so",
        },
        {
            "type": "url_citation",
            "url": "https://b.example",
            "title": "https://b.example",
            "start_index": 1,
            "end_index": 2,
        },
        own,
        {
            "type": "url_citation",
            "url": "https://c.example",
            "title": "https://c.example",
            "start_index": 0,
            "end_index": 5,
        },
    ]


def test_log_probabilities_have_their_bytes() -> None:
    token = {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}]}
    logprobs = Raw(json.dumps({"content": [token]}).encode())
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Text()),
        PartDelta(choice=0, index=0, text="é", logprobs=logprobs),
        PartDelta(choice=0, index=0, logprobs=Raw(b"[1]")),
        PartEnded(choice=0, index=0),
        Finished(choice=0, reason="stop"),
        Ended(),
    ]
    (content,) = Rendering().response(events)["output"][0]["content"]
    top = [{"token": "e", "logprob": -1.0, "bytes": [101]}]
    assert content["logprobs"] == [{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": top}]


def test_images_are_items_and_other_media_are_text() -> None:
    image = Media(kind="image", media_type="image/webp")
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, image),
        PartDelta(choice=0, index=0, data="aGk="),
        PartEnded(choice=0, index=0),
        PartBegan(0, 1, Media(kind="image", url="https://a.example/a.png")),
        PartEnded(choice=0, index=1),
        PartBegan(0, 2, Media(kind="audio")),
        PartDelta(choice=0, index=2, data="AA", transcript="spoken"),
        PartEnded(choice=0, index=2),
        Finished(choice=0, reason="stop"),
        Ended(),
    ]
    drawn, message = Rendering().stream(events)[-1]["response"]["output"]
    assert (drawn["type"], drawn["result"], drawn["output_format"]) == ("image_generation_call", "aGk=", "webp")
    assert [one["text"] for one in message["content"]] == ["![image](https://a.example/a.png)", "spoken"]


def test_items_of_the_dialect_are_passed_on_and_those_of_others_are_text() -> None:
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "failed",
        "action": {"type": "search", "query": "tides"},
    }
    parts = [
        Opaque(dialect="openai_responses", raw=Raw(json.dumps(search).encode())),
        Opaque(dialect="openai_responses", raw=Raw(b'{"type":"mcp_list_tools"}')),
        Opaque(dialect="openai_responses", raw=Raw(b"[]"), text="unreadable"),
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}"), text="searched"),
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}")),
    ]
    found, listed, message = Rendering().stream(answer(*parts))[-1]["response"]["output"]
    assert found == search
    assert (listed["type"], listed["status"]) == ("mcp_list_tools", "completed") and listed["id"]
    assert [one["text"] for one in message["content"]] == ["unreadable", "searched"]


def test_a_message_keeps_its_phase() -> None:
    part = Text(text="I look", extras={"openai_responses": {"phase": "commentary"}})
    assert Rendering().response(answer(part))["output"][0]["phase"] == "commentary"
