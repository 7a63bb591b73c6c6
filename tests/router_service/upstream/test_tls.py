"""Test certificates of providers: an own authority is trusted, and with an expired one the next provider serves."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.chaos.address import Address, running_loop
from benchmarks.chaos.certificates import Authority, nobody_knows
from lab.server import Lab, create_app
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.client import ClientName, open_client
from tests.conftest import open_stack, serving
from tests.router_service.execution.test_fallback import CHAT, body

CLIENTS = get_args(ClientName)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def address(authority: Authority) -> Iterator[Address]:
    """Yield the address of a lab behind TLS, with a good certificate."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as url, running_loop() as loop:
        opened = Address(loop, url, authority.good())
        opened.come_back()
        try:
            yield opened
        finally:
            opened.die()


async def sent(name: ClientName, url: str) -> int:
    """Return the status of a response to a new client."""
    client = open_client(name, connect_timeout_s=60.0)
    try:
        content = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
        headers = {"content-type": "application/json"}
        return (await client.send(HttpRequest(f"{url}/groq/v1/chat/completions", headers, content), 60.0)).status
    finally:
        await client.close()


@pytest.mark.parametrize("name", CLIENTS)
async def test_the_authorities_of_openssls_variables_are_trusted(
    name: ClientName, authority: Authority, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ApiError, match=r"not accepted: (unable to get local issuer|self.signed)"):
        await sent(name, address.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    assert await sent(name, address.url) == 200


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    ("certificate", "message"), [("expired", "certificate has expired"), ("unknown", "issuer|self.signed")]
)
async def test_the_error_says_why_a_certificate_is_not_valid(
    name: ClientName,
    certificate: str,
    message: str,
    authority: Authority,
    address: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    shown: ssl.SSLContext = authority.expired() if certificate == "expired" else nobody_knows()
    address.show(shown)
    with pytest.raises(ApiError, match=message) as caught:
        await sent(name, address.url)
    assert caught.value.error_type == "provider_unavailable"


async def test_a_wrong_host_name_is_refused_and_not_repeated(
    authority: Authority, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with pytest.raises(ApiError, match=r"not accepted: Hostname mismatch$"):
        await sent("direct", address.url.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", CLIENTS)
def test_when_a_certificate_expires_the_next_provider_serves(
    name: ClientName,
    stream: bool,
    tmp_path: Path,
    authority: Authority,
    address: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    urls = {"groq": f"{address.url}/groq/v1"}
    with (
        open_stack(tmp_path / "data", provider_urls=urls, upstream_client=name) as stack,
        stack.client as client,
    ):
        both, alone = {"order": ["groq", "deepinfra"]}, {"only": ["groq"]}
        assert '"Groq"' in client.post(CHAT, json=body(stream, provider=both)).text
        address.show(authority.expired())
        assert '"Deep Infra"' in client.post(CHAT, json=body(stream, provider=both)).text
        assert "certificate has expired" in client.post(CHAT, json=body(stream, provider=alone)).text
        address.show(authority.good())
        assert '"Groq"' in client.post(CHAT, json=body(stream, provider=both)).text
