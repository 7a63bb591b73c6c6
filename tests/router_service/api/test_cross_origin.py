"""Test that web pages of this machine, and of the origins in the settings, can call the API, and others cannot."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from router_service.settings import Settings
from tests.conftest import Stack, open_stack

CHROMIUM = shutil.which("chromium")
CHAT = "/api/v1/chat/completions"
BODY = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
ALLOWED = "access-control-allow-origin"
PAGE_ORIGIN = "https://app.example"
REFUSED = ["https://other.example", "http://localhost.other.example", "http://127.0.0.1.other.example", "null"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("origins"), cors_origins=[PAGE_ORIGIN]) as opened:
        yield opened


def preflight(stack: Stack, origin: str, path: str = CHAT, method: str = "POST") -> httpx2.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization, content-type, x-stainless-os",
    }
    return httpx2.options(f"{stack.url}{path}", headers=headers)


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "https://localhost", "http://127.0.0.1:8080", "http://[::1]:5173", PAGE_ORIGIN],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/api/v1/models"])
def test_a_preflight_of_an_allowed_origin_is_answered(stack: Stack, origin: str, path: str) -> None:
    found = preflight(stack, origin, path)
    assert (found.status_code, found.headers[ALLOWED]) == (200, origin)
    assert found.headers["access-control-allow-headers"] == "authorization, content-type, x-stainless-os"
    assert "POST" in found.headers["access-control-allow-methods"]


@pytest.mark.parametrize("origin", REFUSED)
def test_a_preflight_of_another_origin_is_refused_with_a_sentence(stack: Stack, origin: str) -> None:
    found = preflight(stack, origin)
    assert (found.status_code, ALLOWED in found.headers) == (403, False)
    assert "PORTOLAN_CORS_ORIGINS" in found.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["openai/gpt-oss-120b", "acme/unknown"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_responses_and_errors_of_generation_can_be_read(stack: Stack, stream: bool, model: str, path: str) -> None:
    with stack.client as client:
        headers = {"origin": PAGE_ORIGIN}
        found = client.post(path, json=BODY | {"model": model, "stream": stream}, headers=headers)
        refused = client.post(path, json=BODY, headers=headers | {"authorization": "Bearer no"})
        unasked = client.post(path, json=BODY)
    for response in (found, refused):
        assert (response.headers[ALLOWED], response.headers["vary"]) == (PAGE_ORIGIN, "Origin")
        assert "x-generation-id" in response.headers["access-control-expose-headers"]
    assert refused.status_code == 401 and ALLOWED not in unasked.headers


@pytest.mark.parametrize("path", ["/api/v1/models/count", "/api/v1/key", "/api/v1/nothing", CHAT])
def test_responses_and_errors_of_other_routes_can_be_read(stack: Stack, path: str) -> None:
    found = httpx2.get(f"{stack.url}{path}", headers={"origin": "http://localhost:3000"})
    assert found.headers[ALLOWED] == "http://localhost:3000"
    assert "x-request-id" in found.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", REFUSED)
def test_another_origin_can_read_nothing(stack: Stack, origin: str) -> None:
    with stack.client as client:
        headers = {"origin": origin}
        found = (client.post(CHAT, json=BODY, headers=headers), client.get("/api/v1/models/count", headers=headers))
    assert [(response.status_code, ALLOWED in response.headers) for response in found] == [(200, False)] * 2


def test_the_settings_may_allow_any_origin(tmp_path: Path) -> None:
    with open_stack(tmp_path, cors_origins=["*"]) as opened, opened.client as client:
        assert preflight(opened, "https://other.example").headers[ALLOWED] == "*"
        assert client.post(CHAT, json=BODY, headers={"origin": "null"}).headers[ALLOWED] == "*"
        assert client.get("/api/v1/models/count", headers={"origin": "https://a.example"}).headers[ALLOWED] == "*"


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "https://app.example/page", ""])
def test_a_setting_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="must be an origin"):
        Settings(cors_origins=[origin])


@contextlib.contextmanager
def page_server() -> Iterator[str]:
    """Serve an empty page from loopback; yields its address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()


FETCH = """async ([url, key, body]) => {
  const options = {method: "POST", body, headers: {"authorization": `Bearer ${key}`, "content-type": "application/json",
    "x-request-id": "page-1"}};
  const answer = await fetch(url, options);
  return [answer.status, (await answer.text()).length > 0, answer.headers.get("x-request-id")];
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_a_page_in_a_browser_reads_an_answer_a_stream_and_an_error(stack: Stack) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, page_server() as address:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        bodies = (BODY, BODY | {"stream": True}, BODY | {"model": "acme/unknown"})
        found = [page.evaluate(FETCH, [f"{stack.url}{CHAT}", stack.key, json.dumps(body)]) for body in bodies]
        browser.close()
    assert found == [[200, True, "page-1"], [200, True, "page-1"], [400, True, "page-1"]]
