"""Concurrent requests by a real client that notes when each answer ended."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp

MODELS = ("openai/gpt-oss-120b", "meta-llama/llama-3.3-70b-instruct", "anthropic/claude-haiku-4.5")


@dataclass
class Answer:
    """``ended`` is the moment of the last byte, ``None`` while it has not come (``time.monotonic`` seconds)."""

    model: str
    stream: bool
    id: str
    status: int
    ended: float | None = None


@dataclass
class Load:
    """``width`` requests at a time, every other one streamed, until ``stop`` is set or ``most`` are sent."""

    url: str
    key: str
    width: int = 12
    most: int | None = None
    answers: list[Answer] = field(default_factory=list)
    broken: int = 0
    stopped: bool = False

    def run(self) -> None:
        asyncio.run(self._run())

    @property
    def ended(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.ended is not None]

    async def _run(self) -> None:
        numbers = iter(range(self.most if self.most is not None else 10**9))
        headers = {"authorization": f"Bearer {self.key}"}
        # A connection per request, so that the kernel spreads them over all workers.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            await asyncio.gather(*(self._client(session, numbers) for _ in range(self.width)))

    async def _client(self, session: aiohttp.ClientSession, numbers: object) -> None:
        for number in numbers:  # type: ignore[attr-defined]
            if self.stopped:
                return
            model, stream = MODELS[number % len(MODELS)], number % 2 == 0
            body = {"model": model, "stream": stream, "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
            try:
                await self._one(session, model, stream, json.dumps(body).encode())
            except (aiohttp.ClientError, OSError):
                self.broken += 1
                await asyncio.sleep(0.02)

    async def _one(self, session: aiohttp.ClientSession, model: str, stream: bool, body: bytes) -> None:
        async with session.post(f"{self.url}/api/v1/chat/completions", data=body) as response:
            if "x-generation-id" not in response.headers:
                # No request was accepted: the server ends, or another has its port since.
                self.broken += 1
                return
            answer = Answer(model, stream, response.headers["x-generation-id"], response.status)
            self.answers.append(answer)
            await response.read()
            answer.ended = time.monotonic()
