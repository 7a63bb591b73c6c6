"""Run a router that serves a trained policy, in front of a lab with known TTFT."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import Response

from data.lake import Lake
from data.record.attempt import Attempt
from data.record.record import Record
from lab.faults import read_fault
from lab.server import Lab
from lab.wire import Wire
from models.selection.lifecycle.registry import Registry
from models.selection.lifecycle.train import train
from tests.conftest import Stack, open_stack
from tests.pipelines.test_marts import START_US, fill

MODEL = "openai/gpt-oss-120b"
# Two providers with the same price, so that TTFT alone decides.
GROQ, WANDB = "groq:openai/gpt-oss-120b", "wandb:openai/gpt-oss-120b"
TAGS = ["groq", "wandb"]
Waits = Mapping[tuple[str, str | None], float]


class SteadyLab(Lab):
    """Respond after ``waits`` seconds, by provider and client region; the request names the region as its ``user``."""

    def __init__(self, waits: Waits) -> None:
        super().__init__(time_scale=0.0, faults=False)
        self._waits = waits

    async def answer(self, provider: str, request: Request, wire: Wire) -> Response:
        wait_s = self._waits.get((provider, (await request.json()).get("user")), 0.02)
        fault = read_fault(self.modes.get(provider))
        await asyncio.sleep(wait_s * fault.slowness(random.Random(0)))
        return await super().answer(provider, request, wire)


def history(waits: Waits, count: int) -> list[Record]:
    """Return records of streams with the TTFT of ``waits``, by endpoint and region."""
    dice, made, names = random.Random(2), [], list(waits)
    for number in range(count):
        name, region = names[number % len(names)]
        moment = START_US + number * 1_000_000
        record = Record(f"gen-{moment // 1_000_000}-{number}", moment, "w", MODEL, True, 200, 10, client_region=region)
        ttft_us = int(waits[name, region] * 1e6 * dice.lognormvariate(0, 0.1))
        attempt = Attempt(name, name.partition(":")[0], MODEL, 200, ttft_us=ttft_us, duration_us=ttft_us + 500)
        record.attempts = [attempt]
        record.estimated_prompt_tokens, record.completion_tokens = 50, 5
        made.append(record)
    return made


def teach(lake: Lake, waits: Waits, count: int = 600) -> str:
    """Train on ``history`` in a separate lake and let the policy serve in ``lake``; return its version."""
    school = Lake(lake.root / "school")
    fill(school, history(waits, count))
    report = train(school)
    assert report.version, report
    Registry(school, "test").promote(report.version, "for the test")
    shutil.copytree(school.policies, lake.create().policies, dirs_exist_ok=True)
    return report.version


@contextlib.contextmanager
def learned_stack(data_dir: Path, waits: Waits, lab: Lab | None = None, **settings: Any) -> Iterator[Stack]:
    """Open a router in which a policy trained on ``waits`` gets all traffic."""
    teach(Lake(data_dir), waits)
    wanted = {"learned_share": 1.0, "ttft_timeout": 5.0, "usd_per_second": 0.05}
    with open_stack(data_dir, lab or Lab(time_scale=0.0, faults=False), **wanted | settings) as stack:
        yield stack


def body(region: str | None = None, **more: Any) -> dict[str, Any]:
    found = {"model": MODEL, "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    return found | {"provider": {"only": TAGS}, "user": region} | more


def ask(client: httpx2.Client, region: str | None = None, **more: Any) -> str:
    """Send one streamed request to its end, and return the id of its record."""
    headers = {"x-portolan-client-region": region} if region else {}
    answer = client.post("/api/v1/chat/completions", json=body(region, **more), headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-generation-id"])


def chances(client: httpx2.Client, region: str | None = None, **more: Any) -> dict[str, float]:
    """Return each provider's probability to be tried first now."""
    headers = {"x-portolan-client-region": region} if region else {}
    found = client.post("/api/v1/route/preview", json=body(region, **more), headers=headers).json()["data"]
    return {offer["endpoint"].partition(":")[0]: offer["probability"] for offer in found["endpoints"]}


def plant(lab: Lab, provider: str, **fault: Any) -> None:
    """Set a fault of the lab, as ``POST /_control/<provider>`` does."""
    read_fault(json.loads(json.dumps(fault)))
    lab.modes[provider] = fault
