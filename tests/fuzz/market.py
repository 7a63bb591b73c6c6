"""Run a router of its own, as a process, in front of providers that misbehave."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from tests.fuzz.raw_provider import RawProvider, Script, by_mode, raw, respond
from tests.running import Running, free_port

GOOD = "good"
# The router's key at the faulty providers.
SECRET = "sk-secret/of-provider-1"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
# Short enough for tests, and long enough for an endpoint that is well on a busy machine.
TIMEOUTS = {"PORTOLAN_TTFT_TIMEOUT": "6", "PORTOLAN_ANSWER_TIMEOUT": "6", "PORTOLAN_STALL_TIMEOUT": "6"}


def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    """Return one event of a stream of chat completions."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def framed(*parts: bytes, end: bool = True) -> bytes:
    """Return ``parts`` as HTTP chunks, and the last chunk with ``end``."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + (b"0\r\n\r\n" if end else b"")


FIRST = chunk({"role": "assistant", "content": "fi"})
LAST = chunk({"content": "ne"}, "stop") + b"data: [DONE]\n\n"
good = by_mode(respond(json.dumps(ANSWER).encode()), raw(SSE_HEAD + framed(FIRST, LAST)))


@dataclass
class FaultyMarket:
    """Hold the running router. Each fault has a model ``test/<name>`` at the faulty provider and at a good one."""

    port: int
    key: str
    lake: Lake
    provider: RawProvider
    running: Running

    @property
    def url(self) -> str:
        """Return the address of the router."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, timeout_s: float = 60.0) -> httpx2.Client:
        """Return a client with the key."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=timeout_s, trust_env=False)

    def body(self, name: str, *, stream: bool, fallback: bool = True) -> dict[str, Any]:
        """Return a request that goes to the faulty provider first, and to no other without ``fallback``."""
        order = (
            {"order": ["faulty-" + name, GOOD], "allow_fallbacks": False} if fallback else {"only": ["faulty-" + name]}
        )
        hello = [{"role": "user", "content": "hello"}]
        return {"model": f"test/{name}", "messages": hello, "stream": stream, "provider": order}

    def rss(self) -> int:
        """Return the resident bytes of the router's processes."""
        return sum(rss_bytes(pid) for pid in self.running.alive())


def rss_bytes(pid: int) -> int:
    """Return the resident bytes of a process; 0 for one that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def faulty_market(
    folder: Path, scripts: Mapping[str, Script], *arguments: str, module: str = "portolan", **variables: str
) -> Iterator[FaultyMarket]:
    """Serve ``scripts`` and a router in front of them, the command line of which is ``module``."""
    lake = Lake(folder / "data").create()
    key = create_key(open_database(lake.database), "fuzz")
    with RawProvider({**scripts, GOOD: good}) as provider:
        config = folder / "portolan.toml"
        config.write_text(_configuration(provider, scripts))
        port = free_port()
        command = ("serve", "--port", str(port), "--data-dir", str(lake.root), "--config", str(config), *arguments)
        with Running(folder / "output", *command, module=module, **(TIMEOUTS | variables)) as running:
            running.ready(f"http://127.0.0.1:{port}/health")
            yield FaultyMarket(port, key, lake, provider, running)


def _configuration(provider: RawProvider, scripts: Mapping[str, Script]) -> str:
    lines = []
    for name in scripts:
        for owner in (f"faulty-{name}", GOOD):
            lines += ["[[endpoints]]", f'provider = "{owner}"', f'model = "test/{name}"', f'upstream_model = "{name}"']
        lines += [f"[providers.faulty-{name}]", f'base_url = "{provider.url(name)}"', f'key = "{SECRET}"']
    lines += [f"[providers.{GOOD}]", f'base_url = "{provider.url(GOOD)}"']
    return "\n".join([*(f'[models."test/{name}"]\nname = "{name}"' for name in scripts), *lines, ""])
