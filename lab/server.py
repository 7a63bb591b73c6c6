"""All providers of the lab on one port, each under its own path, speaking their real wire formats."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.anthropic_wire import AnthropicWire
from lab.behaviour import Behaviour, behaviour_of
from lab.openai_wire import OpenAIWire, Wire
from lab.text import complete

MODES = ("ok", "error", "rate_limit", "hang", "stall", "reset", "slow")


@dataclass
class Lab:
    """``time_scale`` multiplies every wait (0 = instant); ``faults`` turns measured failures on."""

    seed: int = 7
    time_scale: float = 1.0
    faults: bool = True
    modes: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    numbers: Any = field(default_factory=itertools.count)

    async def answer(self, provider: str, request: Request, wire: Wire) -> Response:
        body = await request.json()
        endpoint = f"{provider}:{body.get('model')}"
        self.calls[endpoint] += 1
        dice = random.Random(f"{self.seed}/{endpoint}/{self.calls[endpoint]}")
        behaviour = behaviour_of(endpoint, self.seed)
        mode = self.modes.get(provider, {"mode": "ok"})
        refused = self._refuse(mode, behaviour, dice, wire)
        if refused is not None:
            return refused
        factor = float(mode.get("factor", 4)) if mode["mode"] == "slow" else 1.0
        if mode["mode"] == "hang":
            await asyncio.sleep(3600)
        completion = wire.cache(body, complete(wire.read(body), dice), endpoint)
        await asyncio.sleep(behaviour.ttft(dice) * factor * self.time_scale)
        gap = factor * self.time_scale / behaviour.throughput(dice)
        if not body.get("stream"):
            await asyncio.sleep(gap * completion.completion_tokens)
            return JSONResponse(wire.whole(completion, body))
        events = self._stream(endpoint, wire.events(completion, body), gap, mode["mode"])
        return StreamingResponse(events, media_type="text/event-stream")

    def _refuse(self, mode: dict[str, Any], behaviour: Behaviour, dice: random.Random, wire: Wire) -> Response | None:
        hit = dice.random() < float(mode.get("rate", 1.0))
        out = self.faults and behaviour.is_out(time.monotonic() - self.started)
        if (mode["mode"] == "error" and hit) or out or (self.faults and dice.random() < behaviour.error_rate):
            return JSONResponse(wire.error(503), status_code=503)
        if (mode["mode"] == "rate_limit" and hit) or (self.faults and dice.random() < behaviour.rate_limit_rate):
            return JSONResponse(wire.error(429), status_code=429, headers={"retry-after": "1"})
        return None

    async def _stream(self, endpoint: str, events: list[bytes], gap_s: float, mode: str) -> AsyncIterator[bytes]:
        finished = False
        try:
            for index, event in enumerate(events):
                if index == 3 and mode == "stall":
                    await asyncio.sleep(3600)
                if index == 3 and mode == "reset":
                    raise ConnectionResetError("planted reset")
                yield event
                await asyncio.sleep(gap_s)
            finished = True
        finally:
            if not finished:
                self.cancelled[endpoint] += 1


def create_app(lab: Lab) -> Starlette:
    """Providers at ``/{provider}/v1``; ``/_control`` plants failures, ``/_log`` counts calls."""
    openai, anthropic = OpenAIWire(), AnthropicWire()

    async def chat(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, openai)

    async def messages(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, anthropic)

    async def control(request: Request) -> Response:
        provider = request.path_params["provider"]
        if request.method == "DELETE":
            lab.modes.pop(provider, None)
        else:
            wanted = json.loads(await request.body())
            if wanted.get("mode") not in MODES:
                return JSONResponse({"error": f"mode must be one of {', '.join(MODES)}"}, status_code=400)
            lab.modes[provider] = wanted
        return JSONResponse(lab.modes)

    async def log(_request: Request) -> Response:
        return JSONResponse({"calls": lab.calls, "cancelled": lab.cancelled})

    return Starlette(
        routes=[
            Route("/{provider}/v1/chat/completions", chat, methods=["POST"]),
            Route("/{provider}/v1/messages", messages, methods=["POST"]),
            Route("/_control/{provider}", control, methods=["POST", "DELETE"]),
            Route("/_log", log),
        ]
    )


def run(host: str, port: int, seed: int, time_scale: float) -> None:
    """Serve until stopped."""
    app = create_app(Lab(seed=seed, time_scale=time_scale))
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
