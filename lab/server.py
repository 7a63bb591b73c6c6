"""Serve all providers of the lab on one port, each under its own path and in its real wire format."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.anthropic_wire import AnthropicWire
from lab.behaviour import Behaviour, behaviour_of
from lab.faults import NEVER_S, Fault, leaves, read_fault
from lab.openai_wire import OpenAIWire, Wire
from lab.text import complete

TIERS = ("priority", "flex")


@dataclass
class Lab:
    """State of all providers of the lab.

    Endpoints are named ``provider:model``, or ``provider:model@tier`` for a requested service tier, which behaves like
    the default tier and is reported in the response. ``time_scale`` multiplies all latencies and the time between
    outages (0: no delay). ``faults`` enables failures at the measured rates. ``modes`` has the injected faults
    (``lab/faults.py``) by endpoint, provider or ``*``. ``completed`` counts the completed responses, which a provider
    would bill, by the request's ``user``.
    """

    seed: int = 7
    time_scale: float = 1.0
    faults: bool = True
    modes: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    async def answer(self, provider: str, request: Request, wire: Wire) -> Response:
        body = await request.json()
        base = f"{provider}:{body.get('model')}"
        endpoint = f"{base}@{body['service_tier']}" if body.get("service_tier") in TIERS else base
        self.calls[endpoint] += 1
        dice = random.Random(f"{self.seed}/{endpoint}/{self.calls[endpoint]}")
        behaviour = behaviour_of(base, self.seed)
        fault = read_fault(self.modes.get(endpoint) or self.modes.get(provider) or self.modes.get("*"))
        refusal = fault.refusal(wire, dice) or self._chance(behaviour, dice, wire)
        if refusal is not None:
            return refusal
        if endpoint != base and fault.downgrades(dice):
            body["service_tier"] = "default"
        completion = wire.cache(body, fault.spoil(complete(wire.read(body), dice), dice), base)
        slowness = fault.slowness(dice)
        wait = behaviour.ttft(dice) * slowness * self.time_scale
        gap = slowness * self.time_scale / behaviour.throughput(dice)
        stream = bool(body.get("stream"))
        if not stream:
            wait += gap * completion.completion_tokens
        if await leaves(request, NEVER_S if fault.mode == "hang" else wait):
            self.cancelled[endpoint] += 1
            return Response(status_code=499)
        user = str(body.get("user", ""))
        if stream:
            events = self._send(endpoint, user, wire.events(completion, body), gap, fault)
            return StreamingResponse(events, media_type="text/event-stream")
        answer = JSONResponse(wire.whole(completion, body))
        if not fault.breaks_off:
            self.completed[user] += 1
            return answer
        half = len(answer.body) // 2
        halves = self._send(endpoint, user, [answer.body[:half], answer.body[half:]], 0, fault.within(1))
        return StreamingResponse(halves, headers=dict(answer.headers))

    def _chance(self, behaviour: Behaviour, dice: random.Random, wire: Wire) -> Response | None:
        """Return a failure at the measured rates or during an outage, else ``None``."""
        if not self.faults:
            return None
        now_s = (time.monotonic() - self.started) / (self.time_scale or 1.0)
        if behaviour.is_out(now_s) or dice.random() < behaviour.error_rate:
            return JSONResponse(wire.error(503), status_code=503)
        if dice.random() < behaviour.rate_limit_rate:
            return JSONResponse(wire.error(429), status_code=429, headers={"retry-after": "1"})
        return None

    async def _send(
        self, endpoint: str, user: str, pieces: Sequence[bytes | memoryview], gap_s: float, fault: Fault
    ) -> AsyncIterator[bytes]:
        finished = False
        try:
            for index, piece in enumerate(pieces):
                await fault.before(index)
                # A response is billed with its last piece, whether or not the client reads to the end.
                finished = index + 1 == len(pieces)
                if finished:
                    self.completed[user] += 1
                yield bytes(piece)
                if not finished:
                    await asyncio.sleep(gap_s)
        finally:
            if not finished:
                self.cancelled[endpoint] += 1


def create_app(lab: Lab) -> Starlette:
    """Return the application: providers at ``/{provider}/v1``, counts at ``/_log``.

    ``/_control/{provider}`` injects faults into a provider or into one of its endpoints.
    """
    openai, anthropic = OpenAIWire(), AnthropicWire()

    async def chat(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, openai)

    async def messages(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, anthropic)

    async def control(request: Request) -> Response:
        provider = request.path_params["provider"]
        if request.method == "DELETE":
            lab.modes.pop(provider, None)
            return JSONResponse(lab.modes)
        wanted = json.loads(await request.body())
        try:
            read_fault(wanted)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        lab.modes[provider] = wanted
        return JSONResponse(lab.modes)

    async def log(_request: Request) -> Response:
        return JSONResponse({"calls": lab.calls, "cancelled": lab.cancelled, "completed": lab.completed})

    return Starlette(
        routes=[
            Route("/{provider}/v1/chat/completions", chat, methods=["POST"]),
            Route("/{provider}/v1/messages", messages, methods=["POST"]),
            Route("/_control/{provider:path}", control, methods=["POST", "DELETE"]),
            Route("/_log", log),
        ]
    )


def run(host: str, port: int, seed: int, time_scale: float) -> None:
    """Serve the lab until it is stopped."""
    app = create_app(Lab(seed=seed, time_scale=time_scale))
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
