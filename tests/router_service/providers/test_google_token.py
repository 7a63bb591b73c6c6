"""Test that a service account is exchanged for tokens at its own address, one exchange at a time, without its key."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.credentials import Account, AccountAddress, Credentials
from router_service.providers.google_token import GRANT, SCOPE, GoogleTokens, ServiceAccount, read_service_account
from router_service.upstream.client import open_client
from router_service.upstream.transport import Transport
from tests.router_service.providers.formats.parameter_cases import endpoint_for
from tests.router_service.providers.test_credentials import REQUEST, Clock

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
EMAIL = "pilot@harbour.iam.gserviceaccount.example"


def key_file(**changed: object) -> bytes:
    """Return a key file as Google Cloud writes it."""
    fields = {
        "type": "service_account",
        "project_id": "harbour",
        "private_key_id": "key-1",
        "private_key": PEM,
        "client_email": EMAIL,
        "token_uri": "http://127.0.0.1/token",
    }
    return json.dumps(fields | changed).encode()


class TokenServer:
    """Serve tokens on loopback as Google does, and keep the assertions that it was sent."""

    def __init__(self) -> None:
        self.assertions: list[str] = []
        self.status, self.lifetime_s, self.stem = 200, 3600, "token-"
        self.asked, self.opened = asyncio.Event(), asyncio.Event()
        self.opened.set()
        self.uri = ""

    async def start(self) -> asyncio.Server:
        """Begin to serve."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        form = parse_qs((await reader.readexactly(length)).decode())
        assert form["grant_type"] == [GRANT] and b"application/x-www-form-urlencoded" in head
        self.assertions.append(form["assertion"][0])
        self.asked.set()
        await self.opened.wait()
        granted = {"access_token": f"{self.stem}{len(self.assertions)}", "expires_in": self.lifetime_s}
        refused = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        body = json.dumps(granted if self.status == 200 else refused).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (self.status, len(body)) + body
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    found = TokenServer()
    running = await found.start()
    yield found
    running.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Transport]:
    client = open_client("direct", 60)
    yield client
    await client.close()


def account_at(server: TokenServer) -> ServiceAccount:
    """Return the account of a key file whose tokens come from ``server``."""
    return read_service_account(key_file(token_uri=server.uri))


async def test_the_assertion_is_signed_by_the_key(server: TokenServer, upstream: Transport) -> None:
    """Google can check who asks, for what and until when."""
    tokens = GoogleTokens(account_at(server), upstream.send)
    assert await tokens.header() == {"authorization": "Bearer token-1"}
    claims = jwt.decode(server.assertions[0], certs=PUBLIC, audience=server.uri)
    assert (claims["iss"], claims["scope"], claims["exp"] - claims["iat"]) == (EMAIL, SCOPE, 3600)
    assert jwt.decode_header(server.assertions[0])["kid"] == "key-1"


async def test_a_token_is_kept_until_shortly_before_its_end(server: TokenServer, upstream: Transport) -> None:
    """Within the last minutes the old token serves on while the next one is exchanged."""
    clock = Clock()
    tokens = GoogleTokens(account_at(server), upstream.send, clock)
    first = await tokens.header()
    clock.now += 3299
    assert await tokens.header() == first and len(server.assertions) == 1
    clock.now += 2
    server.opened.clear()
    assert await tokens.header() == first and await tokens.header() == first
    server.opened.set()
    while await tokens.header() == first:  # noqa: ASYNC110 - the end of the exchange is told to nobody else
        await asyncio.sleep(0.001)
    assert await tokens.header() == {"authorization": "Bearer token-2"} and len(server.assertions) == 2
    clock.now += 3600
    assert await tokens.header() == {"authorization": "Bearer token-3"}


async def test_requests_share_one_exchange(server: TokenServer, upstream: Transport) -> None:
    """A request that is cancelled does not take the token away from the others."""
    server.opened.clear()
    tokens = GoogleTokens(account_at(server), upstream.send)
    waiting = [asyncio.create_task(tokens.header()) for _ in range(20)]
    await server.asked.wait()
    waiting[0].cancel()
    server.opened.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(header == {"authorization": "Bearer token-1"} for header in found[1:])
    assert len(server.assertions) == 1


async def test_a_refusal_is_an_error_and_the_next_request_asks_again(
    server: TokenServer, upstream: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says what Google says, and neither it nor the log shows the key, the assertion or a token."""
    caplog.set_level(logging.DEBUG)
    tokens = GoogleTokens(account_at(server), upstream.send)
    server.status = 400
    with pytest.raises(ApiError) as raised:
        await tokens.header()
    assert raised.value.error_type == "provider_unavailable"
    assert raised.value.message == "Google refuses the service account (400): invalid_grant: Invalid JWT Signature."
    server.status = 200
    assert await tokens.header() == {"authorization": "Bearer token-2"}
    shown = caplog.text + repr(account_at(server)) + repr(Account((), {}, account_at(server)))
    assert not any(secret in shown for secret in ("PRIVATE KEY", *server.assertions, "token-2"))


async def test_an_answer_without_a_token_is_an_error(upstream: Transport) -> None:
    """Whatever the address answers, it is a typed error."""

    class Odd:
        status, body = 200, b'{"access_token": 7}'

    async def send(request: HttpRequest, timeout_s: float) -> Odd:
        return Odd()

    tokens = GoogleTokens(read_service_account(key_file()), send)
    with pytest.raises(ApiError, match="answered without a token"):
        await tokens.header()


async def test_requests_are_signed_with_the_token(server: TokenServer, upstream: Transport) -> None:
    """A token that Vertex AI refuses is exchanged once more, and a new one that it refuses is not."""
    clock = Clock()
    endpoint = endpoint_for("gemini", "google-vertex", "gemini-2.5-pro")
    at = AccountAddress(endpoint.provider, endpoint.base_url, endpoint.wire_format)
    account = Account((), {"x-goog-user-project": "harbour"}, account_at(server))
    credentials = Credentials(lab=False, accounts={at: account}, clock=clock)
    with pytest.raises(ApiError, match="not connected yet"):
        await credentials.sign(REQUEST, endpoint)
    credentials.connect(upstream.send)
    signed = await credentials.sign(REQUEST, endpoint)
    wanted = {"authorization": "Bearer token-1", "x-goog-user-project": "harbour"}
    assert signed.headers == {"content-type": "application/json"} | wanted
    assert not credentials.pass_on(signed, endpoint, 401, None)
    clock.now += 60
    again = await credentials.sign(REQUEST, endpoint)
    assert again.headers["authorization"] == "Bearer token-2"
    clock.now += 60
    assert credentials.pass_on(again, endpoint, 401, None) and credentials.pass_on(signed, endpoint, 401, None)
    assert not credentials.pass_on(again, endpoint, 403, None)
    assert (await credentials.sign(REQUEST, endpoint)).headers["authorization"] == "Bearer token-3"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no JSON", "is no JSON key file"),
        (key_file(type="authorized_user"), "its type must be service_account"),
        (key_file(client_email=7), "needs the texts client_email and private_key"),
        (key_file(private_key="-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"), "no RSA key in PEM"),
    ],
)
def test_key_files_that_are_none_are_refused_in_words(content: bytes, words: str) -> None:
    """The sentence says what is wrong with the file, and shows nothing of the key."""
    with pytest.raises(ValueError, match=words) as raised:
        read_service_account(content)
    assert "c2VjcmV0" not in str(raised.value)


async def test_the_last_two_tokens_are_redacted(server: TokenServer, upstream: Transport) -> None:
    """An answer to a request that was sent with the token before may still come."""
    at = endpoint_for("gemini", "google-vertex", "m")
    account = {AccountAddress(at.provider, at.base_url, at.wire_format): Account(service_account=account_at(server))}
    clock = Clock()
    credentials = Credentials(lab=False, accounts=account, clock=clock, send=upstream.send)
    server.stem = "ya29.stem-"
    told = " ".join(f"{server.stem}{number}" for number in (1, 2, 3))
    for kept in ([2, 3], [3], [1]):
        clock.now += 7200
        _ = [await credentials.sign(REQUEST, at) for _ in range(2)]
        shown = credentials.redactor(at).redact_text(told)
        assert [number for number in (1, 2, 3) if f"{server.stem}{number}" in shown] == kept
