"""Add a provider and a wire format as the pages say, and send requests that are answered."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from router_service.providers import formats
from tests.conftest import Stack, open_stack, serving
from tests.running import ROOT, Running, free_port, portolan

BLOCK = re.compile(r"^`([^`\n]+)`(?:, below `(\[[^`]+\])`)?:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HELLO: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When is high tide?"}]


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return the files of a page: their paths, the tables that they are added to, and what they say."""
    found = BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert len(found) == 3
    return found


class LinesProvider:
    """Serve the protocol of the page. ``bodies`` are the requests, ``broken`` is true for a stream that is cut."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.broken = False
        self.app = Starlette(routes=[Route("/say", self.say, methods=["POST"])])

    async def say(self, request: Request) -> Response:
        self.bodies.append(json.loads(await request.body()))
        self.keys.append(request.headers.get("authorization"))
        if self.bodies[-1]["text"].endswith("too fast"):
            return JSONResponse({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, status_code=429)
        if not self.bodies[-1]["stream"]:
            return JSONResponse({"say": "High tide is at six.", "end": "done", "counts": [9, 5]})
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        events: list[dict[str, Any]] = [{"say": "High tide "}, {"say": "is at six."}]
        events += [] if self.broken else [{"end": "done", "counts": [9, 5]}]
        for event in events:
            yield b"data: " + json.dumps(event).encode() + b"\n\n"


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stack, LinesProvider]]:
    """Install the package of the page, and open a router with its configuration."""
    site, provider = tmp_path / "site", LinesProvider()
    for path, _, text in blocks("adding-a-format.md"):
        file = site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    project = tomllib.loads((site / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(site, project)
    monkeypatch.syspath_prepend(site)
    forget()
    try:
        with serving(provider.app) as url:
            config = site / "portolan.toml"
            config.write_text(config.read_text(encoding="utf-8").replace("http://127.0.0.1:9000", url))
            with open_stack(tmp_path / "data", config=config) as stack:
                yield stack, provider
    finally:
        monkeypatch.undo()
        forget()


def install(site: Path, project: dict[str, Any]) -> None:
    """Write what an installer writes of a package: its metadata and its entry points."""
    folder = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = ""
    for group, entries in project["entry-points"].items():
        points += f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
    (folder / "entry_points.txt").write_text(points)


def forget() -> None:
    """Let the next router look for installed formats again."""
    formats._installed.cache_clear()
    formats.wire_formats.cache_clear()


def test_the_format_of_the_page_answers(lines: tuple[Stack, LinesProvider]) -> None:
    """Each client API reads it, streamed or not; counts are priced, and what was not sent is reported."""
    stack, provider = lines
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client:
        asked: Any = {"model": "harbour/pilot", "messages": HELLO, "max_tokens": 70, "temperature": 0.5}
        raw = client.chat.completions.with_raw_response.create(**asked)
        answer = raw.parse()
        assert answer.choices[0].message.content == "High tide is at six."
        assert answer.choices[0].finish_reason == "stop"
        assert raw.headers["x-portolan-dropped-parameters"] == "temperature"
        row = stack.record(answer.id)
        assert (row["wire_format"], row["prompt_tokens"], row["completion_tokens"]) == ("lines", 9, 5)
        assert row["cost_nano"] == 9 * 1_000 + 5 * 2_000
        chunks = list(client.chat.completions.create(**asked, stream=True))
        texts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
        assert texts == ["High tide ", "is at six."]
        response = client.responses.create(model="harbour/pilot", input="When is high tide?")
        assert response.output_text == "High tide is at six."
    assert provider.bodies[0] == {
        "model": "pilot-1",
        "text": "system: Be brief.\nuser: When is high tide?",
        "stream": False,
        "limit": 70,
    }
    assert set(provider.keys) == {"Bearer secret"}


def test_failures_of_the_format_of_the_page_are_typed(lines: tuple[Stack, LinesProvider]) -> None:
    stack, provider = lines
    body = {"model": "harbour/pilot", "messages": HELLO}
    with stack.client as client:
        provider.broken = True
        streamed = client.post("/api/v1/chat/completions", json=body | {"stream": True})
        assert '"finish_reason":"error"' in streamed.text.replace(" ", "")
        fast = [{"role": "user", "content": "too fast"}]
        refused = client.post("/api/v1/chat/completions", json=body | {"messages": fast})
        assert (refused.status_code, refused.json()["error"]["metadata"]["error_type"]) == (429, "rate_limit_exceeded")
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        refused = client.post(
            "/api/v1/chat/completions", json=body | {"messages": [{"role": "user", "content": [image]}]}
        )
        assert refused.status_code == 400 and "takes text alone" in refused.json()["error"]["message"]


def test_a_format_that_nobody_has_installed_is_named(tmp_path: Path) -> None:
    (_, _, _), (_, _, _), (_, _, text) = blocks("adding-a-format.md")
    file = tmp_path / "portolan.toml"
    file.write_text(text)
    found = portolan("config", "check", str(file))
    assert found.returncode != 0
    assert "providers.harbour.wire_format must be 'openai_chat', 'openai_responses'" in found.stdout + found.stderr


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"portolan.formats": {"broken": "portolan_nothing:Broken"}}
    install(tmp_path, {"name": "portolan-broken", "version": "1.0", "entry-points": points})
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    try:
        with pytest.raises(ValueError, match="the wire format broken of the package portolan-broken cannot be loaded"):
            formats.wire_formats()
    finally:
        monkeypatch.undo()
        forget()


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """Return a copy of the code with the rows of the page."""
    folder = tmp_path / "code"
    for name in ("portolan", "router_service", "data", "lab", "models"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "var"))
    for path, table, text in blocks("adding-a-provider.md"):
        file = folder / path
        before = file.read_text(encoding="utf-8")
        if table:
            assert before.count(f"\n{table}\n") == 1
            file.write_text(before.replace(f"\n{table}\n", f"\n{table}\n{text}"), encoding="utf-8")
        else:
            file.write_text(f"{before}\n{text}", encoding="utf-8")
    return folder


def test_the_provider_of_the_page_answers(grown: Path, tmp_path: Path) -> None:
    """Its lab refuses what it does not have, the router leaves it out and says so, and the catalogue has its fact."""
    lab_port, port, data = free_port(), free_port(), str(tmp_path / "data")
    lab_url, url = f"http://127.0.0.1:{lab_port}", f"http://127.0.0.1:{port}"
    lab_command = ("lab", "--port", str(lab_port), "--strict", "--time-scale", "0")
    with Running(tmp_path / "lab", *lab_command, root=grown) as lab:
        lab.ready(f"{lab_url}/_log")
        made = portolan("keys", "create", "--name", "page", "--data-dir", data)
        key = made.stdout.strip()
        serve = ("serve", "--port", str(port), "--data-dir", data)
        with Running(tmp_path / "router", *serve, root=grown, PORTOLAN_LAB_URL=lab_url) as router:
            router.ready(f"{url}/health")
            with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=2) as client:
                asked: Any = {
                    "model": "meta-llama/llama-3.3-70b-instruct",
                    "messages": HELLO,
                    "frequency_penalty": 0.5,
                    "user": "me",
                    "extra_body": {"provider": {"only": ["scaleway"]}},
                }
                raw = client.chat.completions.with_raw_response.create(**asked)
                assert raw.parse().choices[0].message.content
                dropped = raw.headers["x-portolan-dropped-parameters"]
                assert {one.strip() for one in dropped.split(",")} == {"frequency_penalty", "user"}
                chunks = list(client.chat.completions.create(**asked, stream=True))
                assert any(choice.delta.content for chunk in chunks for choice in chunk.choices)
            providers = httpx2.get(f"{url}/api/v1/providers", headers={"authorization": f"Bearer {key}"}).json()["data"]
            assert [one["datacenters"] for one in providers if one["slug"] == "scaleway"] == [["FR"]]
            own = asked | {"model": "llama-3.3-70b-instruct"}
            del own["extra_body"], own["user"]
            address = f"{lab_url}/scaleway/v1/chat/completions"
            refused = httpx2.post(address, json=own, headers={"authorization": "Bearer any"})
            assert refused.status_code == 400 and "frequency_penalty" in refused.text
