"""Test what is read of the events that tell how far an item of the provider's own is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.events import Event, PartProgressed, fold
from router_service.core.parts import Opaque
from router_service.providers.formats.openai_responses.progress import PROGRESS
from router_service.providers.json_events import JsonEventDecoder
from tests.router_service.providers.formats.openai_responses.responses_world import CONTEXT, FORMAT

END: dict[str, Any] = {"type": "response.completed", "response": {"status": "completed"}}


def item(kind: str = "web_search_call", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": "ws_1", "status": "in_progress"} | fields


def added(**fields: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": 0, "item": item(**fields)}


def read(*events: dict[str, Any]) -> list[Event]:
    """Return the events of a complete stream, which keep the grammar."""
    decoder, found = FORMAT.decoder(CONTEXT), []
    for event in events:
        batch = decoder.feed(None, json.dumps(event).encode())
        found += batch.events() if batch is not None else []
    found += decoder.end()
    fold(found)
    return found


def steps(events: list[Event]) -> list[PartProgressed]:
    return [event for event in events if isinstance(event, PartProgressed)]


@pytest.mark.parametrize("kind", PROGRESS)
def test_each_documented_event_is_read(kind: str) -> None:
    told = {"type": kind, "item_id": "ws_1", "output_index": 0, "sequence_number": 9, "delta": "x", "obfuscation": "y"}
    (step,) = steps(read(added(type=PROGRESS[kind]), told, END))
    assert step.step == kind and {name: bytes(raw) for name, raw in step.fields.items()} == {"delta": b'"x"'}
    assert (step.part.item_id, step.part.origin) == ("ws_1", CONTEXT.origin)
    assert json.loads(bytes(step.part.raw))["type"] == PROGRESS[kind]


@pytest.mark.parametrize("heals", [False, True])
def test_a_step_commits_the_attempt(heals: bool) -> None:
    """A search may take longer than a provider has for its first token; so it is where text is made JSON."""
    decoder = JsonEventDecoder(FORMAT.decoder(CONTEXT)) if heals else FORMAT.decoder(CONTEXT)
    begun = decoder.feed(None, json.dumps(added()).encode())
    assert begun is not None and not begun.has_content
    told = {"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 0}
    batch = decoder.feed(None, json.dumps(told).encode())
    assert batch is not None and batch.has_content


@pytest.mark.parametrize(
    "told",
    [
        {"type": "response.web_search_call.searching"},
        {"type": "response.web_search_call.searching", "item_id": "other", "output_index": 0},
        {"type": "response.web_search_call.searching", "item_id": 7, "output_index": True},
    ],
)
def test_the_item_is_found_by_its_type_or_its_number(told: dict[str, Any]) -> None:
    assert len(steps(read(added(), told, END))) == 1


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 0}],
        [added(), {"type": "response.file_search_call.searching", "item_id": "ws_1", "output_index": 0}],
        [added(), {"type": "response.web_search_call.dreaming", "item_id": "ws_1", "output_index": 0}],
        [added(id=None), {"type": "response.web_search_call.searching", "output_index": 0}],
        [
            added(),
            {"type": "response.output_item.done", "output_index": 0, "item": item(status="completed")},
            {"type": "response.web_search_call.completed", "item_id": "ws_1", "output_index": 0},
        ],
    ],
    ids=["no item", "another type", "unknown step", "no id", "item has ended"],
)
def test_a_step_that_belongs_to_no_open_item_says_nothing(events: list[dict[str, Any]]) -> None:
    assert steps(read(*events, END)) == []


def test_the_complete_item_has_the_id_of_its_steps() -> None:
    """Some servers send another id in every event."""
    told = {"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 0}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item(id="ws_2", status="completed")}
    events = read(added(), told, done, END)
    (part,) = fold(events).choices[0].parts
    assert isinstance(part, Opaque) and part.item_id == steps(events)[0].part.item_id == "ws_1"
