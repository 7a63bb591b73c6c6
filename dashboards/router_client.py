"""Ask several models of a running router the same over HTTP, and measure each streamed answer, without Streamlit."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any

import httpx2

DEFAULT_URL = "http://127.0.0.1:8080"
FEWEST_MODELS, MOST_MODELS = 2, 4
MOST_CHARACTERS = 8000
MOST_TOKENS = 4000
LONGEST_S = 120
CONNECT_S = 3.0
REFRESH_S = 0.15
# Whoever asks holds it, so that a server of pages asks one question at a time, whatever the number of its readers.
ONE_AT_A_TIME = Lock()


class NoRouter(Exception):
    """Say that no router answers at the address, and what to do."""


@dataclass
class Answer:
    """Hold what has come of a model's answer so far; times are seconds since the request was sent."""

    model: str
    text: str = ""
    provider: str | None = None
    generation_id: str | None = None
    ttft_s: float | None = None
    total_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: Decimal | None = None
    finish_reason: str | None = None
    error: str | None = None

    def exact_usd(self) -> str | None:
        """Return the cost that the router charged, every digit of it and without an exponent."""
        return None if self.cost_usd is None else f"{self.cost_usd:f}"


def router_url() -> str:
    """Return the address of the router, from ``PORTOLAN_ROUTER_URL``."""
    return (os.environ.get("PORTOLAN_ROUTER_URL") or DEFAULT_URL).rstrip("/")


def list_models(url: str) -> list[str]:
    """Return the chat models that the router offers, most used in the last week first. Raises ``NoRouter``."""
    try:
        # The router is the installation's own: it is called without a proxy.
        answer = httpx2.get(f"{url}/api/v1/models", params={"sort": "top-weekly"}, timeout=CONNECT_S, trust_env=False)
        return [str(one["id"]) for one in answer.raise_for_status().json()["data"]]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise NoRouter(f"No router answers at `{url}` ({type(error).__name__}).") from None


def refusal(models: Sequence[str], prompt: str, most_tokens: int) -> str | None:
    """Return what is wrong with a question, ``None`` if it can be asked. A browser's own bounds can be passed by."""
    if not FEWEST_MODELS <= len(models) <= MOST_MODELS:
        return f"Choose {FEWEST_MODELS} to {MOST_MODELS} models."
    if not prompt.strip():
        return "Write a prompt."
    if len(prompt) > MOST_CHARACTERS:
        return f"The prompt has {len(prompt):,} characters; shorten it to {MOST_CHARACTERS:,}."
    if not 1 <= most_tokens <= MOST_TOKENS:
        return f"Ask for 1 to {MOST_TOKENS:,} tokens."
    return None


async def ask_models(
    url: str,
    key: str,
    models: Sequence[str],
    prompt: str,
    most_tokens: int,
    show: Callable[[list[Answer]], object],
    longest_s: float = LONGEST_S,
) -> list[Answer]:
    """Send the prompt to all models at once; return their answers, each at most ``longest_s`` after it was asked.

    ``show`` is called with what has come so far, several times a second. An exception of it ends all requests.
    """
    answers = [Answer(model) for model in models]
    headers = {"authorization": f"Bearer {key}", "x-title": "Portolan Compare"}
    timeout = httpx2.Timeout(longest_s, connect=CONNECT_S)
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=False) as client:
        tasks = [asyncio.create_task(_ask(client, one, prompt, most_tokens, longest_s)) for one in answers]
        try:
            running: set[asyncio.Task[None]] = set(tasks)
            while running:
                ended, running = await asyncio.wait(running, timeout=REFRESH_S)
                for task in ended:
                    task.result()
                show(answers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return answers


async def _ask(client: httpx2.AsyncClient, answer: Answer, prompt: str, most_tokens: int, longest_s: float) -> None:
    began = time.perf_counter()
    body = {
        "model": answer.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": most_tokens,
        "stream": True,
    }
    try:
        async with asyncio.timeout(longest_s):
            async with client.stream("POST", "/api/v1/chat/completions", json=body) as response:
                answer.generation_id = response.headers.get("x-generation-id")
                if response.status_code != 200:
                    await response.aread()
                    answer.error = _sentence(response)
                    return
                async for event in httpx2.EventSource(response):
                    if event.data != "[DONE]":
                        _read(answer, json.loads(event.data, parse_float=Decimal), time.perf_counter() - began)
        if answer.error is None and answer.finish_reason is None:
            answer.error = "The stream ended before the answer did."
    except TimeoutError:
        answer.error = f"The answer was not complete after {longest_s:g} s; its request was cancelled."
    except (httpx2.HTTPError, ValueError) as error:
        answer.error = f"The connection to the router failed: {error or type(error).__name__}"
    finally:
        answer.total_s = time.perf_counter() - began


def _read(answer: Answer, chunk: dict[str, Any], elapsed_s: float) -> None:
    """Take over what a chunk of the stream says."""
    answer.provider = chunk.get("provider") or answer.provider
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        content = delta.get("content") or ""
        if (content or delta.get("reasoning")) and answer.ttft_s is None:
            answer.ttft_s = elapsed_s
        answer.text += content
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
    if usage := chunk.get("usage"):
        answer.prompt_tokens, answer.completion_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        answer.cost_usd = None if usage.get("cost") is None else Decimal(usage["cost"])
    if error := chunk.get("error"):
        answer.error = str(error.get("message") or error)


def _sentence(response: httpx2.Response) -> str:
    """Return the sentence of a refused request, as the router wrote it."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The router answered with status {response.status_code}."
