"""The shortest path that Python has: bare ASGI, msgspec, the fastest client for each kind of answer; no log."""

from __future__ import annotations

import os
from typing import Any

import aiohttp
import msgspec
from pyreqwest.client import Client, ClientBuilder

UPSTREAM = os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:18901/v1/chat/completions")
_head = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_JSON = [(b"content-type", b"application/json")]
_EVENTS = [(b"content-type", b"text/event-stream")]
_clients: dict[str, Any] = {}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = (await receive())["body"]
    fields = _head.decode(body)
    fields["model"] = msgspec.Raw(b'"upstream-model"')
    if bytes(fields["stream"]) == b"true":
        await _stream(_encode(fields), send)
    else:
        await _whole(_encode(fields), send)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.startup":
            _clients["whole"] = ClientBuilder().build()
            _clients["stream"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        else:
            await _clients["stream"].close()
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _whole(body: bytes, send: Any) -> None:
    client: Client = _clients["whole"]
    request = client.post(UPSTREAM).header("content-type", "application/json").body_bytes(body).build()
    response = await request.send()
    answer = _any.decode(await response.bytes())
    answer["provider"] = "Upstream"
    content = _encode(answer)
    headers = [*_JSON, (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _stream(body: bytes, send: Any) -> None:
    session: aiohttp.ClientSession = _clients["stream"]
    async with session.post(UPSTREAM, data=body, headers={"content-type": "application/json"}) as response:
        await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        rest = b""
        async for part in response.content.iter_any():
            *events, rest = (rest + part).split(b"\n\n")
            content = b"".join(_passed_on(event) for event in events)
            await send({"type": "http.response.body", "body": content, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _passed_on(event: bytes) -> bytes:
    data = event.removeprefix(b"data: ")
    if data == b"[DONE]":
        return b"data: [DONE]\n\n"
    chunk = _any.decode(data)
    chunk["provider"] = "Upstream"
    return b"data: " + _encode(chunk) + b"\n\n"
