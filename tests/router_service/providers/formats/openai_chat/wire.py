"""Sends golden wire fixtures and hand-made chunks through the chat completions format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from data.catalogue.types import Endpoint, Price
from router_service.core.errors import ApiError
from router_service.core.events import Event, Failed, Folding, Result, fold
from router_service.core.parts import Opaque, Reasoning, Text, ToolCall
from router_service.providers.formats.openai_chat.dialect import dialect_of
from router_service.providers.formats.openai_chat.format import OpenAIChatFormat
from router_service.providers.wire_format import DecodeContext
from router_service.upstream.framing.sse import EventParser
from tests.wire_cases import WireCase, load_cases

FORMAT = OpenAIChatFormat()
CASES = {case.name: case for case in load_cases("openai_chat")}
# Two choices may come: with one, an unknown index means the only open choice.
CONTEXT = DecodeContext(generation_id="gen-1", origin="openai_chat/openai/gpt-5-mini", choices=2)


def endpoint(provider: str = "openai", upstream_model: str = "gpt-5-mini", **more: Any) -> Endpoint:
    """Returns an endpoint of ``provider``."""
    return Endpoint(
        id=f"{provider}:{upstream_model}",
        tag=provider,
        provider=provider,
        provider_name=provider.title(),
        model="author/model",
        upstream_model=upstream_model,
        wire_format="openai_chat",
        base_url="http://provider.test/v1",
        key_env=(),
        price=Price(1, 1),
        context_length=1000,
        **more,
    )


def case_context(case: WireCase) -> DecodeContext:
    """Returns what the decoder knows of a fixture's provider."""
    tagged = dialect_of(case.endpoint.provider, case.endpoint.upstream_model).think_tags
    return msgspec.structs.replace(CONTEXT, think_tags=tagged)


def case_endpoint(case: WireCase) -> Endpoint:
    """Returns the endpoint of a fixture."""
    return endpoint(case.endpoint.provider, case.endpoint.upstream_model)


def events_of_stream(stream: bytes, *, complete: bool = True, context: DecodeContext = CONTEXT) -> list[Event]:
    """Returns the events of a stream as a reader gets them; bytes that are no event fail the answer."""
    decoder, parser = FORMAT.decoder(context), EventParser()
    found: list[Event] = []
    try:
        for event, data in parser.feed(stream) + (parser.finish() if complete else []):
            batch = decoder.feed(event, data)
            found += batch.events() if batch is not None else []
    except ApiError as error:
        found.append(Failed(error))
    return found + decoder.end()


def events_of_chunks(*chunks: Any, done: bool = True) -> list[Event]:
    """Returns the events of chunks, given as values, JSON or bytes."""
    decoder = FORMAT.decoder(CONTEXT)
    found: list[Event] = []
    for chunk in (*chunks, *([b"[DONE]"] if done else [])):
        batch = decoder.feed(None, chunk if isinstance(chunk, bytes) else msgspec.json.encode(chunk))
        found += batch.events() if batch is not None else []
    return found + decoder.end()


def chunk(delta: dict[str, Any], finish: Any = None, index: Any = 0, **more: Any) -> dict[str, Any]:
    """Returns a chunk with one choice; ``more`` are further fields of the chunk."""
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}


def message(said: dict[str, Any], finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """Returns a completion with one choice."""
    return {"id": "c", "choices": [{"index": 0, "message": said, "finish_reason": finish}], **more}


def decoded(body: Any) -> Result:
    """Returns the folded events of a non-streaming response."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return fold(FORMAT.decode(raw, CONTEXT))


def folded(events: Iterable[Event]) -> Result:
    """Returns the result of events that may end in a failure."""
    folding = Folding()
    for event in events:
        folding.add(event)
    assert folding.over
    return folding.result()


def text_of(result: Result, choice: int = 0) -> str:
    """Returns the text of a choice."""
    return "".join(part.text for part in result.choices[choice].parts if isinstance(part, Text))


def reasoning_of(result: Result, choice: int = 0) -> str:
    """Returns the reasoning of a choice."""
    return "".join(part.text for part in result.choices[choice].parts if isinstance(part, Reasoning))


def calls_of(result: Result, choice: int = 0) -> list[tuple[str, str, str]]:
    """Returns id, name and arguments of each tool call of a choice."""
    parts = result.choices[choice].parts
    return [(part.call_id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)]


def plain_parts(result: Result) -> list[Any]:
    """Returns what all choices say, comparable between a stream and a non-streaming response."""
    return [
        (
            [_comparable(part) for part in choice.parts],
            choice.finished and (choice.finished.reason, choice.finished.native),
        )
        for choice in result.choices
    ]


def _comparable(part: Any) -> Any:
    found = {name: getattr(part, name) for name in part.__struct_fields__}
    if isinstance(part, Opaque):
        found["raw"] = bytes(part.raw)
    if isinstance(part, Text):
        found["citations"] = [(one.url, one.title, one.start, one.end) for one in part.citations]
    return type(part), found
