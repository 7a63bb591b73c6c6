"""Name the headers that every response of the API has: its ids, and those that let a web page read it."""

from __future__ import annotations

import re
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router_service.api.cross_origin import CrossOrigin
from router_service.core.request import Request

REQUEST_ID = "x-request-id"
_HEADER = REQUEST_ID.encode()
# A longer or stranger value is no id, and would come back into the logs of those who read it.
_VALID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}").fullmatch


def header_lines(request: Request, cross_origin: CrossOrigin) -> bytes:
    """Return headers of a generation's response as HTTP sends them: the client's valid request id, else the
    generation's id, and those that let a web page read the response.
    """
    generation, headers = request.id.encode(), request.headers
    sent = headers.get(_HEADER)
    request_id = generation if sent is None or _VALID(sent) is None else sent
    lines = b"x-generation-id: %b\r\nx-request-id: %b\r\n" % (generation, request_id)
    origin = headers.get(b"origin")
    if origin is None:
        return lines
    # A server's parser lets no control character into a header, and ``origin`` is repeated only if it is allowed.
    return lines + b"".join([b"%b: %b\r\n" % header for header in cross_origin.headers(origin)])


class RequestIds:
    """Add ``x-request-id`` to the responses of an application: the client's valid one, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == _HEADER and _VALID(value)), None)
        request_id = sent.decode() if sent else f"req-{int(time.time())}-{secrets.token_hex(10)}"

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault(REQUEST_ID, request_id)
            await send(message)

        await self._app(scope, receive, send_with_id)
