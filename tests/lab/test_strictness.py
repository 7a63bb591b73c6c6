"""Test which providers of the lab are strict, and what becomes of requests that nobody can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from lab.scenarios import SCENARIOS
from lab.server import Lab, create_app
from tests.conftest import serving
from tests.lab.scenes import HTTP, marked
from tests.running import ROOT, Running, free_port

HEADERS = {"authorization": "Bearer key", "anthropic-version": "2023-06-01"}
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "unknown": 1}
MESSAGE = CHAT | {"max_tokens": 5}
RESPONSE: dict[str, Any] = {"model": "m", "input": "Hi", "unknown": 1}
PATHS = {"chat/completions": CHAT, "messages": MESSAGE, "responses": RESPONSE}


def post(url: str, body: Any = None, content: bytes | None = None) -> httpx2.Response:
    """Send a request to a provider of the lab."""
    return HTTP.post(url, json=body, content=content, headers=HEADERS)


@pytest.mark.parametrize("path", PATHS)
def test_imitators_are_lenient_and_vendors_are_not(quiet_lab_url: str, path: str) -> None:
    for provider, status in (("groq", 200), ("openai", 400), ("azure", 400), ("anthropic", 400)):
        assert post(f"{quiet_lab_url}/{provider}/v1/{path}", PATHS[path]).status_code == status


@pytest.mark.parametrize("path", PATHS)
def test_a_strict_lab_makes_every_provider_strict_and_counts_refusals(path: str) -> None:
    with serving(create_app(Lab(time_scale=0.0, faults=False, strict=True))) as url:
        refused = post(f"{url}/groq/v1/{path}", PATHS[path])
        assert refused.status_code == 400 and "unknown" in refused.json()["error"]["message"]
        counts = HTTP.get(f"{url}/_log").json()
    assert counts["refused"] == counts["calls"] == {"groq:m": 1} and counts["completed"] == {}


@pytest.mark.parametrize("how", [("--strict", None), (None, "1")], ids=["option", "environment"])
def test_the_command_starts_a_strict_lab(tmp_path: Path, how: tuple[str | None, str | None]) -> None:
    option, variable = how
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["lab", "--port", url.rpartition(":")[2], *([option] if option else [])]
    with Running(tmp_path / "output", *arguments, **({"PORTOLAN_LAB_STRICT": variable} if variable else {})) as lab:
        lab.ready(f"{url}/_log")
        assert post(f"{url}/groq/v1/chat/completions", CHAT).status_code == 400


@pytest.mark.parametrize("provider", ["groq", "openai"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'{"model": NaN}', b"[" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"model": 7}', b'{"model": "m"}', b'{"model": "m", "messages": {}}', b'{"model": "m", "messages": [7]}',
        b'{"model": "m", "messages": [{}]}', b'{"model": "m", "messages": [{"role": "user", "content": 7}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": [7]}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [{}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": 7}',
        b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
        b'{"model": "m", "stream": 1, "stream_options": 7, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "logprobs": 1, "top_logprobs": "x", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "max_tokens": "x", "n": [], "thinking": 7, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "input": {}}', b'{"model": "m", "input": [7]}', b'{"model": "m", "input": [{"role": 7}]}',
        b'{"model": "m", "input": [{"role": "user", "content": [7]}]}', b'{"model": "m", "input": "x", "tools": [7]}',
        b'{"model": "m", "input": "x", "reasoning": 7}', b'{"model": "m", "input": "x", "text": {"format": 7}}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_what_nobody_can_read_is_refused_with_a_sentence(
    quiet_lab_url: str, provider: str, path: str, content: bytes
) -> None:
    answer = post(f"{quiet_lab_url}/{provider}/v1/{path}", content=content)
    if answer.status_code == 200:
        # A lenient provider may find enough to answer.
        assert provider == "groq" and '"m"' in answer.text
        return
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["error"]["message"]) > 10


@pytest.mark.parametrize("path", PATHS)
def test_a_body_over_the_limit_is_refused(quiet_lab_url: str, path: str) -> None:
    answer = post(f"{quiet_lab_url}/groq/v1/{path}", content=b" " * (33 << 20))
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == "Request exceeds the maximum size"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_half_a_surrogate_pair_is_replaced(quiet_lab_url: str, path: str, stream: bool) -> None:
    field = "input" if path == "responses" else "messages"
    body = f'{{"model": "m\\ud83d", "max_tokens": 9, "stream": {str(stream).lower()}, "{field}": '
    body += f'[{{"role": "user", "content": "{marked("text")}"}}]}}'
    answer = post(f"{quiet_lab_url}/groq/v1/{path}", content=body.encode())
    assert answer.status_code == 200 and '"m?"' in answer.text


def test_each_scenario_is_in_the_documentation() -> None:
    page = (ROOT / "docs/lab.md").read_text()
    for name, scenario in SCENARIOS.items():
        assert f"| `{name}` | {scenario.shows} |" in page, f"docs/lab.md lacks {name}"
