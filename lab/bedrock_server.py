"""Read Bedrock's addresses, and answer with its headers.

Sources: Amazon Bedrock API reference: Converse, ConverseStream; AWS JSON protocol: the header ``x-amzn-ErrorType``.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from lab.bedrock_signature import SignedRequest, check_signature
from lab.intake import parsed_object, read_content
from lab.wire import Wire

# A router calls ``v1`` in place of the provider's own address.
CONVERSE_PATHS = ("/{provider}/v1/model/{model:path}/converse", "/{provider}/v1/model/{model:path}/converse-stream")
STREAM_TYPE = "application/vnd.amazon.eventstream"


@dataclass(frozen=True, slots=True)
class SignedReader:
    """Read the body of a request; ``strict`` verifies its signature first."""

    strict: bool

    async def __call__(self, request: Request, wire: Wire) -> dict[str, Any]:
        content = await read_content(request)
        if self.strict:
            path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
            check_signature(SignedRequest(path, request.url.query, request.headers, content))
        return parsed_object(content, wire)


def converse_address(request: Request) -> dict[str, Any]:
    """Return the fields that the address of a request stands for."""
    return {"model": request.path_params["model"], "stream": request.url.path.endswith("/converse-stream")}


def as_amazon_answers(response: Response) -> Response:
    """Return ``response`` with the vendor's headers; the type of an error is one of them, not a field of the body."""
    request_id = {"x-amzn-requestid": secrets.token_hex(16)}
    if isinstance(response, StreamingResponse):
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            response.headers["content-type"] = STREAM_TYPE
        response.headers.update(request_id)
        return response
    if not isinstance(response, JSONResponse) or response.status_code < 400:
        response.headers.update(request_id)
        return response
    error = json.loads(bytes(response.body)).get("error", {})
    named = {"x-amzn-errortype": f"{error.get('type')}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    wait = {name: value for name, value in response.headers.items() if name == "retry-after"}
    headers = named | request_id | wait
    return JSONResponse({"message": error.get("message")}, status_code=response.status_code, headers=headers)
