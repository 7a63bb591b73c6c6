"""Serve the tasks of a provider other than chat: one request, one response, without draws."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from lab.behaviour import behaviour_of
from lab.faults import NEVER_S, Fault, leaves, read_fault
from lab.intake import MALFORMED, new_request_id, read_body, refusal_response, request_ids, unreadable
from lab.shapes import RequestRefused
from lab.wire import ErrorWire


class TaskWire(ErrorWire, Protocol):
    """Wire format of one task: refuse requests, and answer the others.

    ``vendors`` are the providers whose own API it is: they refuse even where the lab is lenient. ``respond`` returns
    the body of the response; ``spoiled`` names the fault of its content, if it is to have one.
    """

    vendors: frozenset[str]

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        """Raise ``RequestRefused`` if the vendor refuses this request."""

    def respond(self, body: dict[str, Any], spoiled: str | None) -> dict[str, Any]: ...


class TaskHost(Protocol):
    """Hold what the lab knows of its providers, and counts of them."""

    seed: int
    time_scale: float
    strict: bool
    modes: dict[str, dict[str, Any]]

    @property
    def calls(self) -> Any: ...
    @property
    def cancelled(self) -> Any: ...
    @property
    def refused(self) -> Any: ...
    @property
    def completed(self) -> Any: ...


TaskBodyReader = Callable[[Request, ErrorWire], Awaitable[dict[str, Any]]]


async def answer_task(
    lab: TaskHost, provider: str, request: Request, wire: TaskWire, read: TaskBodyReader = read_body
) -> Response:
    """Return the provider's response to ``request``, or its refusal."""
    try:
        body = await read(request, wire)
        return await _answer(lab, provider, request, body, wire)
    except RequestRefused as refused:
        return refusal_response(refused, wire)
    except MALFORMED as error:
        return refusal_response(unreadable(error), wire)


async def _answer(lab: TaskHost, provider: str, request: Request, body: dict[str, Any], wire: TaskWire) -> Response:
    endpoint = f"{provider}:{body.get('model')}"
    lab.calls[endpoint] += 1
    if lab.strict or provider in wire.vendors:
        try:
            wire.refuse(body, request.headers)
        except RequestRefused:
            lab.refused[endpoint] += 1
            raise
    dice = random.Random(f"{lab.seed}/{endpoint}/{lab.calls[endpoint]}")
    fault = read_fault(lab.modes.get(endpoint) or lab.modes.get(provider) or lab.modes.get("*"))
    if (planted := fault.refusal(wire, dice)) is not None:
        return planted
    spoiled = fault.code if fault.mode == "garble" and dice.random() < fault.rate else None
    response = JSONResponse(wire.respond(body, spoiled), headers=request_ids(new_request_id()))
    delay_s = behaviour_of(endpoint, lab.seed).ttft(dice) * fault.slowness(dice) * lab.time_scale
    if await leaves(request, NEVER_S if fault.mode == "hang" else delay_s):
        lab.cancelled[endpoint] += 1
        return Response(status_code=499)
    if fault.breaks_off:
        return StreamingResponse(_half(response.body, fault.within(1)), headers=dict(response.headers))
    lab.completed[str(body.get("user", ""))] += 1
    return response


async def _half(body: bytes | memoryview, fault: Fault) -> Any:
    half = len(body) // 2
    for place, piece in enumerate((body[:half], body[half:])):
        await fault.before(place)
        yield bytes(piece)
