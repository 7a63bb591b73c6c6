"""Test calls through real proxies on loopback, and which addresses never take one."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks.chaos.certificates import Authority
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.settings import Settings
from router_service.upstream.client import open_client, select_client
from router_service.upstream.proxies import Proxies
from tests.conftest import open_stack
from tests.router_service.execution.test_fallback import CHAT, body
from tests.router_service.upstream.test_transports import BODY, CLIENTS, FaultyServer, complete, fetch, hang, served

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# No proxy variable exempts this name, and nothing resolves it: a call arrives through the proxy or not at all.
HOST = "api.provider.invalid"


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of the machine that runs the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class LoopbackProxy:
    """Forward each request or tunnel to one port on loopback, whatever host it names.

    ``asked`` has the first line of each, ``heads`` all of it. With ``password`` a request without it gets a 407.
    """

    def __init__(self, port: int, password: str | None = None) -> None:
        self._port = port
        self._password = password
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    async def serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve CONNECT and requests with a whole address."""
        head = await reader.readuntil(b"\r\n\r\n")
        if b"provider.invalid" not in head and b"127.0.0.1" not in head:
            # A library of this process that has read the variables as well.
            writer.close()
            return
        self.heads.append(head)
        self.asked.append(head.partition(b"\r\n")[0].decode())
        wanted = base64.b64encode((self._password or "").encode())
        if self._password is not None and wanted not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        onward = await asyncio.open_connection("127.0.0.1", self._port)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            onward[1].write(head)
        await self._join((reader, writer), onward)

    async def serve_socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve SOCKS 5 (RFC 1928), without authentication, for host names."""
        count = (await reader.readexactly(2))[1]
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        _, _, _, kind, size = await reader.readexactly(5)
        assert kind == 3, "the proxy resolves the name"
        host = await reader.readexactly(size)
        self.asked.append(f"{host.decode()}:{int.from_bytes(await reader.readexactly(2), 'big')}")
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        await self._join((reader, writer), await asyncio.open_connection("127.0.0.1", self._port))

    async def _join(self, *sides: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65_536):
                    target.write(data)
                    await target.drain()
            except ConnectionError:
                pass
            finally:
                target.close()

        (a, b), (c, d) = sides
        await asyncio.gather(copy(a, d), copy(c, b))


@asynccontextmanager
async def proxied(
    port: int, password: str | None = None, *, socks: bool = False
) -> AsyncIterator[tuple[LoopbackProxy, str]]:
    """Yield a proxy to ``port`` and its address without a scheme."""
    proxy = LoopbackProxy(port, password)
    server = await asyncio.start_server(proxy.serve_socks if socks else proxy.serve_http, "127.0.0.1", 0)
    try:
        yield proxy, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def port_of(request: HttpRequest) -> int:
    return int(request.url.split(":")[2].split("/")[0])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("variable", "socks"), [("HTTP_PROXY", False), ("ALL_PROXY", False), ("all_proxy", True)])
async def test_a_provider_without_tls_is_called_through_the_proxy(
    variable: str, socks: bool, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        served(complete, "direct") as (server, _, request),
        proxied(port_of(request), socks=socks) as (proxy, at),
    ):
        monkeypatch.setenv(variable, f"socks5h://{at}" if socks else f"http://{at}")
        client = open_client(select_client(None, [f"http://{HOST}/v1"]), 60.0)
        sent = HttpRequest(f"http://{HOST}/v1/chat/completions", request.headers, request.body)
        assert [await fetch(client, sent, stream=stream) for _ in range(2)] == [BODY, BODY]
        await client.close()
        assert proxy.asked == [f"{HOST}:80" if socks else f"POST http://{HOST}/v1/chat/completions HTTP/1.1"]
        assert server.requests[0].endswith(request.body)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    return made


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_with_tls_is_called_through_a_tunnel_that_keeps_its_key_secret(
    stream: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = FaultyServer(complete)
    # The certificate is for 127.0.0.1, which no proxy serves: the rules are tested apart, so it is made to apply here.
    monkeypatch.setattr(Proxies, "_is_exception", lambda *_: False)
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=authority.good())
    port = server.sockets[0].getsockname()[1]
    async with proxied(port, "operator:s3cret") as (proxy, at):
        monkeypatch.setenv("HTTPS_PROXY", f"http://operator:s3cret@{at}")
        client = open_client("httpx2", 60.0)
        sent = HttpRequest(f"https://127.0.0.1:{port}/v1/x", {"authorization": "Bearer provider-key"}, b"{}")
        assert [await fetch(client, sent, stream=stream) for _ in range(2)] == [BODY, BODY]
        await client.close()
        assert proxy.asked == [f"CONNECT 127.0.0.1:{port} HTTP/1.1"]
        assert b"provider-key" not in proxy.heads[0]
        assert b"authorization: bearer provider-key" in handler.requests[0].lower()
        assert b"s3cret" not in handler.requests[0] and b"proxy-auth" not in handler.requests[0].lower()
    server.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_a_typed_error_without_its_password(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(9, "operator:right") as (_, at):
        monkeypatch.setenv("ALL_PROXY", f"http://operator:s3cret@{at}")
        client = open_client("httpx2", 60.0)
        sent = HttpRequest(f"{scheme}://{HOST}/v1/x", {}, b"{}")
        if scheme == "https":
            with pytest.raises(ApiError, match="the proxy refused to connect: '407 Proxy") as caught:
                await client.send(sent, 60.0)
            assert caught.value.error_type == "provider_unavailable"
            assert "s3cret" not in caught.value.message
        else:
            assert (await client.send(sent, 60.0)).status == 407
        await client.close()


async def test_a_cancelled_call_through_a_tunnel_reaches_the_provider(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = FaultyServer(hang)
    monkeypatch.setattr(Proxies, "_is_exception", lambda *_: False)
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=authority.good())
    port = server.sockets[0].getsockname()[1]
    async with proxied(port) as (_, at):
        monkeypatch.setenv("HTTPS_PROXY", at)
        client = open_client("httpx2", 60.0)
        call = asyncio.ensure_future(client.send(HttpRequest(f"https://127.0.0.1:{port}/v1/x", {}, b"{}"), 300))
        await asyncio.wait_for(handler.received.wait(), 60)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.wait_for(handler.closed.wait(), 60)
        await client.close()
    server.close()


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_proxied"),
    [
        ("", "https://api.example.com/v1", True),
        ("", "http://api.example.com/v1", True),
        ("", "https://localhost:8000/v1", False),
        ("", "https://router.localhost/v1", False),
        ("", "http://127.0.0.1:8000/v1", False),
        ("", "http://127.8.9.10/v1", False),
        ("", "http://10.1.2.3/v1", False),
        ("", "http://172.16.0.1/v1", False),
        ("", "http://172.32.0.1/v1", True),
        ("", "http://192.168.1.1/v1", False),
        ("", "http://169.254.169.254/v1", False),
        ("", "http://[::1]:80/v1", False),
        ("", "http://[fd00::1]/v1", False),
        ("", "http://[::ffff:10.0.0.1]/v1", False),
        ("", "http://8.8.8.8/v1", True),
        ("*", "https://api.example.com/v1", False),
        ("example.com", "https://api.example.com/v1", False),
        (".example.com", "https://example.com/v1", False),
        ("*.example.com", "https://API.EXAMPLE.COM/v1", False),
        ("example.com", "https://notexample.com/v1", True),
        ("other.org, Example.com ", "https://api.example.com/v1", False),
        ("example.com:443", "https://api.example.com/v1", False),
        ("example.com:8443", "https://api.example.com/v1", True),
        ("8.8.8.8", "http://8.8.8.8/v1", False),
        ("8.8.0.0/16", "http://8.8.8.8/v1", False),
        ("8.8.8.8:81", "http://8.8.8.8/v1", True),
        ("2001:4860::/32", "http://[2001:4860:4860::8888]/v1", False),
        ("[2001:4860:4860::8888]:80", "http://[2001:4860:4860::8888]/v1", False),
        ("8.0.0.0/99,nonsense/,:,.", "https://api.example.com/v1", True),
    ],
)
def test_exceptions_are_read_as_curl_reads_them(no_proxy: str, url: str, is_proxied: bool) -> None:
    proxies = Proxies({"all": "http://proxy:3128", "no": no_proxy})
    assert (proxies.rule_for(url) is not None) is is_proxied


def test_the_proxy_of_a_scheme_takes_precedence() -> None:
    proxies = Proxies({"https": "http://secure:1", "all": "http://any:2"})
    assert [proxies.rule_for(f"{scheme}://a.example/").shown for scheme in ("https", "http")] == [  # type: ignore[union-attr]
        "http://secure:1",
        "http://any:2",
    ]
    assert Proxies({"https": "http://secure:1"}).rule_for("http://a.example/") is None


def test_a_configured_proxy_selects_httpx2_and_is_logged_without_its_password(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, inside = f"https://{HOST}/v1", "http://127.0.0.1:8000/v1"
    assert select_client(None, [outside]) == "direct"
    monkeypatch.setenv("HTTPS_PROXY", "http://operator:s3cret@proxy.example:3128/path?token=s3cret")
    assert select_client(None, [inside]) == "direct"
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        assert select_client(None, [inside, outside]) == "httpx2"
        assert select_client("httpx2", [outside]) == "httpx2"
        assert "because HTTPS_PROXY names the proxy http://proxy.example:3128" in caplog.text
        assert select_client("direct", [outside]) == "direct"
        assert "HTTPS_PROXY is ignored" in caplog.text
    assert "s3cret" not in caplog.text
    monkeypatch.setenv("NO_PROXY", ".invalid")
    assert select_client(None, [outside]) == "direct"


@pytest.mark.parametrize("url", ["ftp://proxy:21", "http://", "http://proxy:99999", "socks4://proxy:1080"])
def test_a_proxy_that_cannot_be_used_is_named_at_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ValidationError, match="HTTPS_PROXY must be an address such as"):
        Settings()


@pytest.mark.parametrize("name", [None, *CLIENTS])
@pytest.mark.parametrize("stream", [False, True])
def test_a_router_whose_providers_are_on_loopback_takes_no_proxy(
    stream: bool, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with open_stack(tmp_path, upstream_client=name) as stack:
        monkeypatch.delenv("ALL_PROXY")
        with stack.client as client:
            assert client.post(CHAT, json=body(stream)).status_code == 200
