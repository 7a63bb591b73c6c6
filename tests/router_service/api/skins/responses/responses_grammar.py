"""Check that a stream of the responses API has the order of events that the public specification asks for.

Sources, read in November 2026:

- https://www.openresponses.org/specification, "Streaming HTTP Responses" (the field ``event`` equals the type, no
  ``id``, the last data is ``[DONE]``), "Items are state machines" (an incomplete item is the last one and makes its
  response incomplete), "Items are streamable" (added, content parts with deltas and one done each, done) and "Errors"
  (an error within a stream is followed by ``response.failed``);
- https://github.com/openresponses/openresponses, ``schema/events.tsp``: the fields of each event.

The specification names the events of readable reasoning ``response.reasoning.*``. OpenAI's API, its SDKs and the
reference name them ``response.reasoning_text.*``, which this checker expects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
# By the type of a content part: the events of its text, and the field of the last one that repeats it.
CONTENT = {
    "output_text": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning_text", "text"),
}
# By the type of an item that streams a text of its own: the events of this text, and its field.
ARGUMENTS = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}
# By the type of an item that the provider makes itself: the steps that tell how far it is, in their order. The last of
# them ends it. Source: OpenAI API reference: Responses, streaming events, November 2026.
STEPS = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "image_generation_call": ("in_progress", "generating", "partial_image", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
}
# Steps that may come instead of the last one.
FAILED_STEP = {"mcp_call", "mcp_list_tools"}
# By the type of such an item: the events of the text that the model wrote for it, and the field that repeats it.
WRITTEN = {
    "code_interpreter_call": ("code_interpreter_call_code", "code"),
    "mcp_call": ("mcp_call_arguments", "arguments"),
}
# What an item of each type may contain.
CONTENT_OF = {"message": {"output_text", "refusal"}, "reasoning": {"reasoning_text"}}


class SpecificationError(AssertionError):
    """Name the rule that a stream breaks."""


def require(holds: object, rule: str, event: object) -> None:
    """Raise ``SpecificationError`` unless ``holds``."""
    if not holds:
        raise SpecificationError(f"{rule}: {json.dumps(event)[:600]}")


def read_events(stream: bytes) -> list[Event]:
    """Return the events of a complete stream. Comments, which keep a connection alive, are passed over."""
    blocks = [block for block in stream.decode().split("\n\n") if block and not block.startswith(":")]
    require(
        stream.endswith(b"\n\n") and blocks and blocks[-1] == "data: [DONE]", "the last data is [DONE]", blocks[-1:]
    )
    found: list[Event] = []
    for block in blocks[:-1]:
        lines = block.split("\n")
        require(len(lines) == 2, "an event has its name and its data on one line each, and no id", block)
        name, data = lines
        body = json.loads(data.removeprefix("data: "))
        require(name == f"event: {body['type']}", "the field event equals the type", block)
        found.append(body)
    return found


def check_stream(stream: bytes) -> list[Event]:
    """Return the events of a complete stream that keeps to the specification. Raises ``SpecificationError``."""
    events = read_events(stream)
    check_events(events)
    return events


def check_events(events: list[Event]) -> None:
    """Raise ``SpecificationError`` naming the rule that ``events`` break."""
    for number, event in enumerate(events):
        require(event["sequence_number"] == number, f"event {number} has its number", event)
    types = [event["type"] for event in events]
    require(types[:2] == ["response.created", "response.in_progress"], "a response is created, then in progress", types)
    require(types[-1] in ENDS, "the last event says how the response ended", types[-1:])
    require(sum(kind in ENDS for kind in types) == 1, "a response ends once", types)
    checker = _ResponseChecker(events[0]["response"]["id"])
    for event in events:
        checker.check(event)


@dataclass
class _Content:
    """Hold a part of content or of a summary: its type, the pieces of its text, and how far it is."""

    kind: str
    pieces: list[str] = field(default_factory=list)
    annotations: list[Any] = field(default_factory=list)
    text: str | None = None
    is_done: bool = False


@dataclass
class _Item:
    """Hold an item between its first and its last event."""

    id: str
    kind: str
    contents: list[_Content] = field(default_factory=list)
    summaries: list[_Content] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    arguments: str | None = None
    steps: list[str] = field(default_factory=list)
    done: Event | None = None


class _ResponseChecker:
    def __init__(self, response_id: str) -> None:
        self._id = response_id
        self._items: list[_Item] = []
        self._failing = False

    def check(self, event: Event) -> None:
        kind = event["type"]
        require(not self._failing or kind == "response.failed", "an error is followed by response.failed", event)
        if kind == "error":
            require(event["message"], "an error has a message", event)
            self._failing = True
        elif kind in ("response.created", "response.in_progress"):
            require(event["sequence_number"] < 2, "a response is created and begins once", event)
            self._check_response(event, "in_progress")
            require(event["response"]["output"] == [], "a response begins without output", event)
        elif kind in ENDS:
            self._end(event)
        elif kind == "response.output_item.added":
            self._add(event)
        else:
            item = self._item(event)
            handler = _HANDLERS.get(kind) or _progress(kind) or _delta_or_done(kind)
            require(handler is not None, "the event is known", event)
            assert handler is not None
            handler(item, event)

    def _check_response(self, event: Event, status: str) -> None:
        response = event["response"]
        require(response["id"] == self._id, "a response keeps its id", event)
        require((response["object"], response["status"]) == ("response", status), "the status fits the event", event)

    def _add(self, event: Event) -> None:
        item = event["item"]
        require(event["output_index"] == len(self._items), "items are added in the order of their index", event)
        require(item["status"] == "in_progress", "an added item is in progress", event)
        require(
            item.get("content", []) == [] and item.get("summary", []) == [], "an item begins without content", event
        )
        require(item["id"] not in {one.id for one in self._items}, "an id is that of one item", event)
        if item["type"] in ARGUMENTS:
            require(item["name"] and item[ARGUMENTS[item["type"]][1]] == "", "a call begins with its name", event)
        self._items.append(_Item(item["id"], item["type"]))

    def _item(self, event: Event) -> _Item:
        index = event["output_index"]
        require(0 <= index < len(self._items), "the first event of an item adds it", event)
        item = self._items[index]
        require(item.done is None, "nothing follows the last event of an item", event)
        shown = event["item"]["id"] if "item" in event else event["item_id"]
        require(shown == item.id, "an item keeps its id", event)
        return item

    def _end(self, event: Event) -> None:
        status = ENDS[event["type"]]
        self._check_response(event, status)
        response = event["response"]
        require((response["error"] is not None) == (status == "failed"), "a failed response alone has an error", event)
        cut = response["incomplete_details"] is not None
        require(cut == (status == "incomplete"), "an incomplete response alone says why it is", event)
        require(len(response["output"]) == len(self._items), "the response has every item", event)
        for index, (item, shown) in enumerate(zip(self._items, response["output"], strict=True)):
            require(item.done is not None or status == "failed", "every item is done before the end", event)
            require(item.done is None or item.done == shown, "the response repeats the finished items", shown)
            if item.done is not None and item.done["status"] == "incomplete":
                require(index == len(self._items) - 1, "an incomplete item is the last one", event)
                require(status != "completed", "an incomplete item leaves no response complete", event)


def _item_done(item: _Item, event: Event) -> None:
    shown = event["item"]
    require(shown["type"] == item.kind, "an item keeps its type", event)
    require(shown["status"] in ("completed", "incomplete", "failed"), "a finished item says how it ended", event)
    for contents, name in ((item.contents, "content"), (item.summaries, "summary")):
        require(all(one.is_done for one in contents), "every part is done before its item", event)
        texts = [(one.kind, one.text) for one in contents]
        said = [(one["type"], one.get("text", one.get("refusal"))) for one in shown.get(name) or ()]
        require(said == texts, "a finished item repeats the texts of its parts", event)
    if item.kind in ARGUMENTS:
        _, name = ARGUMENTS[item.kind]
        require(item.arguments is not None, "the arguments of a call are done before it", event)
        require(shown[name] == item.arguments, "a finished call repeats its arguments", event)
    item.done = shown


def _part_added(item: _Item, event: Event) -> None:
    kind = event["part"]["type"]
    require(kind in CONTENT_OF.get(item.kind, ()), "the item may have such a part", event)
    require(event["content_index"] == len(item.contents), "parts are added in the order of their index", event)
    require(event["part"].get("text", event["part"].get("refusal")) == "", "a part begins empty", event)
    item.contents.append(_Content(kind))


def _part_done(item: _Item, event: Event) -> None:
    part = _content(item.contents, event, "content_index")
    _close(part, event)
    if part.kind == "output_text":
        require(event["part"]["annotations"] == part.annotations, "a finished part repeats its annotations", event)


def _summary_added(item: _Item, event: Event) -> None:
    require(item.kind == "reasoning", "reasoning alone has a summary", event)
    require(event["summary_index"] == len(item.summaries), "parts are added in the order of their index", event)
    require(event["part"] == {"type": "summary_text", "text": ""}, "a part begins empty", event)
    item.summaries.append(_Content("summary_text"))


def _summary_done(item: _Item, event: Event) -> None:
    _close(_content(item.summaries, event, "summary_index"), event)


def _annotation_added(item: _Item, event: Event) -> None:
    part = _content(item.contents, event, "content_index")
    require(part.kind == "output_text" and part.text is None, "annotations belong to an open text", event)
    require(event["annotation_index"] == len(part.annotations), "annotations have the order of their index", event)
    part.annotations.append(event["annotation"])


def _close(part: _Content, event: Event) -> None:
    shown = event["part"]
    require(part.text is not None, "the text of a part is done before the part", event)
    require(shown["type"] == part.kind, "a part keeps its type", event)
    require(shown.get("text", shown.get("refusal")) == part.text, "a finished part repeats its text", event)
    part.is_done = True


def _content(contents: list[_Content], event: Event, name: str) -> _Content:
    index = event[name]
    require(0 <= index < len(contents), "the first event of a part adds it", event)
    require(not contents[index].is_done, "nothing follows the last event of a part", event)
    return contents[index]


def _progress(kind: str) -> Callable[[_Item, Event], None] | None:
    """Return what checks an event that tells how far an item is, or of a text that the model wrote for it."""
    name, _, step = kind.removeprefix("response.").rpartition(".")
    for item_kind, (events, repeated) in WRITTEN.items():
        if name == events and step in ("delta", "done"):
            return _arguments_checker(item_kind, step, repeated)
    if name not in STEPS:
        return None

    def check(item: _Item, event: Event) -> None:
        require(item.kind == name, "the event fits the type of the item", event)
        order = [*STEPS[name], *(["failed"] if name in FAILED_STEP else [])]
        require(step in order, "the step is one of the item", event)
        ended = {STEPS[name][-1], "failed"} & {*item.steps}
        require(not ended, "nothing follows the last step of an item", event)
        places = [order.index(one) for one in [*item.steps, step]]
        repeats = step == "partial_image" == (item.steps or [""])[-1]
        require(places == sorted(places) and (repeats or step not in item.steps), "steps keep their order", event)
        if step == "partial_image":
            shown = item.steps.count("partial_image")
            require(event["partial_image_index"] == shown, "partial images have the order of their index", event)
            require(event["partial_image_b64"], "a partial image has its bytes", event)
        item.steps.append(step)

    return check


def _delta_or_done(kind: str) -> Callable[[_Item, Event], None] | None:
    """Return what checks an event of a text: a piece of it, or its end."""
    name, _, what = kind.removeprefix("response.").rpartition(".")
    if what not in ("delta", "done"):
        return None
    if name == "reasoning_summary_text":
        return _text_checker(lambda item: item.summaries, "summary_index", "summary_text", what, "text")
    for part, (events, repeated) in CONTENT.items():
        if name == events:
            return _text_checker(lambda item: item.contents, "content_index", part, what, repeated)
    for item_kind, (events, repeated) in ARGUMENTS.items():
        if name == events:
            return _arguments_checker(item_kind, what, repeated)
    return None


def _text_checker(
    contents: Callable[[_Item], list[_Content]], index: str, part_kind: str, what: str, repeated: str
) -> Callable[[_Item, Event], None]:
    def check(item: _Item, event: Event) -> None:
        part = _content(contents(item), event, index)
        require(part.kind == part_kind, "the event fits the type of the part", event)
        require(part.text is None, "nothing follows the end of a text", event)
        if part_kind == "output_text":
            require(isinstance(event["logprobs"], list), "texts have log probabilities, which may be none", event)
        if what == "delta":
            part.pieces.append(event["delta"])
        else:
            require(event[repeated] == "".join(part.pieces), "the end of a text repeats its pieces", event)
            part.text = event[repeated]

    return check


def _arguments_checker(item_kind: str, what: str, repeated: str) -> Callable[[_Item, Event], None]:
    def check(item: _Item, event: Event) -> None:
        require(item.kind == item_kind, "the event fits the type of the item", event)
        require(item.arguments is None, "nothing follows the end of the arguments", event)
        if what == "delta":
            item.pieces.append(event["delta"])
        else:
            require(event[repeated] == "".join(item.pieces), "the end of the arguments repeats their pieces", event)
            item.arguments = event[repeated]

    return check


_HANDLERS: dict[str, Callable[[_Item, Event], None]] = {
    "response.output_item.done": _item_done,
    "response.content_part.added": _part_added,
    "response.content_part.done": _part_done,
    "response.reasoning_summary_part.added": _summary_added,
    "response.reasoning_summary_part.done": _summary_done,
    "response.output_text.annotation.added": _annotation_added,
}


def types_of(events: Iterable[Event]) -> list[str]:
    """Return the types of ``events`` without the common prefix, each run of deltas once."""
    found: list[str] = []
    for event in events:
        name = event["type"].removeprefix("response.")
        if not (found and found[-1] == name and name.endswith(".delta")):
            found.append(name)
    return found
