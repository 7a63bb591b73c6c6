"""Generate traffic by a measured arrival process through the official ``openai`` client.

Arrivals are open-loop: gaps are gamma-distributed with the coefficient of variation of the Azure trace, and lengths
are log-normal as fitted to it. With ``MAX_IN_FLIGHT`` requests in flight, arrivals are skipped and counted, so that a
slow service does not reduce the offered load.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

from lab.behaviour import parameters
from lab.prompts import prompt

MAX_IN_FLIGHT = 256
APPS = (
    ("https://helm.example", "Helm"),
    ("https://logbook.example", "Logbook"),
    ("https://chandler.example", "Chandler"),
    ("https://beacon.example", "Beacon"),
)
APP_WEIGHTS = (8, 4, 2, 1)
TOOL = {
    "type": "function",
    "function": {
        "name": "find_port",
        "description": "Find a port by place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@dataclass
class ReplayReport:
    """Count the requests of one run."""

    sent: int = 0
    succeeded: int = 0
    skipped: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Replayer:
    """Send ``rate`` requests a second for ``duration_s`` seconds or until ``requests`` are sent, whichever is first."""

    def __init__(self, base_url: str, api_key: str, models: Sequence[str], rate: float, seed: int) -> None:
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=120)
        self._models = models
        self._weights = [1 / (rank + 1) for rank in range(len(models))]
        self._rate = rate
        self._dice = random.Random(seed)
        self.report = ReplayReport()

    async def run(
        self,
        duration_s: float | None = None,
        requests: int | None = None,
        on_progress: Callable[[ReplayReport], None] | None = None,
    ) -> ReplayReport:
        """Send requests until the limit is reached, then wait for those in flight."""
        variation = parameters()["arrivals"]["coefficient_of_variation"]
        shape = 1 / variation**2
        started = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        while (requests is None or self.report.sent < requests) and (
            duration_s is None or time.monotonic() - started < duration_s
        ):
            if len(tasks) < MAX_IN_FLIGHT:
                self.report.sent += 1
                task = asyncio.create_task(self._one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            else:
                self.report.skipped += 1
            if on_progress:
                on_progress(self.report)
            await asyncio.sleep(self._dice.gammavariate(shape, 1 / (shape * self._rate)))
        await asyncio.gather(*tasks)
        await self._client.close()
        return self.report

    async def _one(self) -> None:
        dice = self._dice
        lengths = parameters()["arrivals"]
        words = int(_lognormal(dice, lengths["prompt_tokens"]) * 0.75)
        limit = max(8, int(_lognormal(dice, lengths["completion_tokens"])))
        app = dice.choices(APPS, APP_WEIGHTS)[0]
        arguments: dict[str, Any] = {
            "model": dice.choices(self._models, self._weights)[0],
            "messages": [{"role": "user", "content": prompt(dice, min(words, 4000))}],
            "max_tokens": min(limit, 400),
            "extra_headers": {"HTTP-Referer": app[0], "X-Title": app[1]},
        }
        if dice.random() < 0.15:
            arguments["tools"] = [TOOL]
        try:
            if dice.random() < 0.7:
                stream = await self._client.chat.completions.create(**arguments, stream=True)
                async for _ in stream:
                    pass
            else:
                await self._client.chat.completions.create(**arguments)
            self.report.succeeded += 1
        except openai.OpenAIError as error:
            status = getattr(error, "status_code", None)
            self.report.errors[f"{type(error).__name__} {status or ''}".strip()] += 1


def _lognormal(dice: random.Random, fit: dict[str, float]) -> float:
    return dice.lognormvariate(fit["mean_log"], fit["sigma_log"])
