"""Render events as the responses skin does, without a provider."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from data.catalogue import load_catalogue
from router_service.api.skins.responses.endpoint import ResponsesEndpoint
from router_service.api.skins.skin import ParsedRequest
from router_service.core.answer import EventBatch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Finished, PartBegan, PartDelta, PartEnded
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.parts import AnyPart, Reasoning, Refusal, Text, ToolCall
from router_service.core.request import receive_request
from tests.router_service.api.skins.responses.responses_grammar import check_stream

CATALOGUE = load_catalogue()
MODEL = "openai/gpt-oss-120b"
HELLO: dict[str, Any] = {"model": MODEL, "input": "hello"}


class Rendering:
    """Hold a request to the skin, whose answer is made of ``events``."""

    def __init__(self, body: dict[str, Any] | None = None, **fields: Any) -> None:
        self.endpoint = ResponsesEndpoint(CATALOGUE)
        content = json.dumps((HELLO if body is None else body) | fields).encode()
        self.exchange = Exchange(receive_request("responses", {}).with_body(content))
        self.parsed: ParsedRequest = self.endpoint.parse(self.exchange, b"", CATALOGUE)
        self.exchange.outcome.model = MODEL

    @property
    def generation(self) -> GenerationRequest:
        return self.parsed.source.parsed

    def raw_stream(self, batches: Sequence[Sequence[Event]]) -> bytes:
        """Return the bytes of a stream, with a keep-alive between its parts."""
        _, renderer = self.endpoint.stream(self.exchange, self.parsed)
        found = [renderer.render([EventBatch([*batch])]) for batch in batches]
        assert renderer.over
        return self.endpoint.keepalive.join(found)

    def stream(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Return the events of a stream that keeps to the specification."""
        return check_stream(self.raw_stream([events]))

    def response(self, events: Sequence[Event]) -> dict[str, Any]:
        """Return the non-streaming response."""
        _, body = self.endpoint.response(self.exchange, self.parsed, [EventBatch([*events])])
        found: dict[str, Any] = json.loads(body)
        return found


def answer(*parts: AnyPart, reason: Any = "stop", native: str | None = None) -> list[Event]:
    """Return the events of an answer: each part begins empty and says all in one delta."""
    events: list[Event] = [Began()]
    for index, part in enumerate(parts):
        match part:
            case Text() | Reasoning() | Refusal():
                events.append(PartBegan(0, index, msgspec.structs.replace(part, text="")))
                events.append(PartDelta(choice=0, index=index, text=part.text))
            case ToolCall():
                events.append(PartBegan(0, index, msgspec.structs.replace(part, arguments="")))
                events.append(PartDelta(choice=0, index=index, text=part.arguments))
            case _:
                events.append(PartBegan(0, index, part))
        events.append(PartEnded(choice=0, index=index))
    return [*events, Finished(choice=0, reason=reason, native=native), Ended()]


def refusal_of(body: dict[str, Any]) -> ApiError:
    """Return the error with which the skin refuses ``body``."""
    try:
        Rendering(body)
    except ApiError as error:
        return error
    raise AssertionError(f"the body is accepted: {body}")
