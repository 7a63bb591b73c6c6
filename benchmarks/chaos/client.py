"""A client that sends at a fixed rate, whatever comes back, and notes what it saw of each answer."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

import aiohttp

from benchmarks.chaos.faults import Case

TIMEOUT_S = 30.0


@dataclass
class Seen:
    """One answer. ``first_s`` is seconds to the first token (of a whole answer: to its end), ``None`` without one.
    ``broken`` had a token and then an error; ``at`` is seconds of ``time.time`` when it was sent.
    """

    user: str
    at: float
    id: str | None = None
    status: int | None = None
    first_s: float | None = None
    provider: str | None = None
    good: bool = False
    broken: bool = False
    said: str = ""


class Client:
    """``rate`` requests a second of one case."""

    def __init__(self, session: aiohttp.ClientSession, url: str, case: Case, rate: float) -> None:
        self._session = session
        self._url = f"{url}/api/v1/chat/completions"
        self._case = case
        self._gap_s = 1 / rate
        self._number = 0

    async def send(self, count: int, *, spared: bool = False) -> list[Seen]:
        """``count`` requests, each at its time; ``spared`` leaves the endpoint that is hit out."""
        begun = time.perf_counter()
        tasks = []
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number * self._gap_s - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(spared)))
        return await asyncio.gather(*tasks)

    async def _one(self, spared: bool) -> Seen:
        case = self._case
        self._number += 1
        user = f"{case.fault.name}/{case.stream}/{self._number}"
        body = {
            "model": case.model,
            "stream": case.stream,
            "max_tokens": 12,
            "user": user,
            "messages": [{"role": "user", "content": "hello"}],
            "provider": {"only": [endpoint.tag for endpoint in case.endpoints[spared:]], "strategy": "price"},
        }
        seen = Seen(user, time.time())
        sent = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with self._session.post(self._url, data=json.dumps(body)) as answer:
                    seen.id, seen.status = answer.headers.get("x-generation-id"), answer.status
                    await (self._stream if case.stream and answer.status == 200 else self._whole)(answer, seen, sent)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            seen.said = f"{type(error).__name__}: {error}"
        return seen

    async def _whole(self, answer: aiohttp.ClientResponse, seen: Seen, sent: float) -> None:
        text = await answer.text()
        seen.good = answer.status == 200
        if not seen.good:
            seen.said = text[:300]
            return
        seen.first_s = time.perf_counter() - sent
        seen.provider = json.loads(text)["provider"]

    async def _stream(self, answer: aiohttp.ClientResponse, seen: Seen, sent: float) -> None:
        ended = failed = False
        async for line in answer.content:
            data = line.strip().removeprefix(b"data: ")
            if data == b"[DONE]":
                ended = True
            elif data.startswith(b"{"):
                chunk = json.loads(data)
                failed = failed or "error" in chunk
                seen.said = json.dumps(chunk["error"])[:300] if "error" in chunk else seen.said
                seen.provider = chunk["provider"] or seen.provider
                if seen.first_s is None and any(choice["delta"].get("content") for choice in chunk["choices"]):
                    seen.first_s = time.perf_counter() - sent
        seen.good = ended and not failed
        seen.broken = seen.first_s is not None and not seen.good
