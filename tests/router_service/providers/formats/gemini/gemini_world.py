"""Build what the tests of the Gemini format share: endpoints, encoded bodies, decoded streams."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from data.catalogue.types import Endpoint
from router_service.core.events import Event, Result, fold
from router_service.core.generation import GenerationRequest, Message
from router_service.providers.formats.gemini.format import GeminiFormat
from router_service.providers.wire_format import DecodeContext, Encoded
from tests.router_service.providers.formats.asked import ask
from tests.router_service.providers.formats.decoded_streams import decode_stream
from tests.router_service.providers.formats.parameter_cases import endpoint_for

FORMAT = GeminiFormat()
ORIGIN = "gemini/google"
CONTEXT = DecodeContext(generation_id="gen-1", origin=ORIGIN)
SEARCHING = DecodeContext(generation_id="gen-1", origin=ORIGIN, lists_sources=True)
FLASH, PRO, OLD = "gemini-3-flash-preview", "gemini-2.5-pro", "gemini-2.0-flash"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
DUMMY = "skip_thought_signature_validator"
Body = dict[str, Any]


def endpoint(model: str = FLASH, provider: str = "google") -> Endpoint:
    """Return an endpoint for ``model``."""
    return endpoint_for("gemini", provider, model)


def encode(request: GenerationRequest, at: Endpoint | None = None) -> Encoded:
    """Return the encoded request."""
    return FORMAT.encode(request, at or endpoint(), "gen-1")


def body_of(request: GenerationRequest, at: Endpoint | None = None) -> Body:
    """Return the JSON body that is sent."""
    found: Body = json.loads(encode(request, at).request.body)
    return found


def contents_of(*messages: Message, at: Endpoint | None = None) -> list[Body]:
    """Return the contents that are sent for ``messages``."""
    return list(body_of(ask(*messages), at)["contents"])


def content(role: str, *parts: Body | str) -> Body:
    """Return a content; strings are texts."""
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def response_part(name: str, output: str, **fields: Any) -> Body:
    """Return the response to a call."""
    return {"functionResponse": {"name": name, "response": {"output": output}} | fields}


def events_of(pieces: Iterable[bytes], context: DecodeContext = CONTEXT) -> list[Event]:
    """Decode a stream that arrives in ``pieces``."""
    return decode_stream(FORMAT, pieces, context)


def chunks(*bodies: Any, context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a stream of ``bodies``."""
    return fold(events_of([f"data: {json.dumps(body)}\n\n".encode() for body in bodies], context))


def said(*parts: Any, finish: str | None = "STOP", **fields: Any) -> Body:
    """Return a response with ``parts``."""
    candidate: Body = {"content": {"role": "model", "parts": list(parts)}, "index": 0} | fields
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})]}


def read(response: Any, context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a non-streaming response."""
    return fold(FORMAT.decode(json.dumps(response).encode(), context))
