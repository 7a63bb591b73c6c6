"""Test that requests to Amazon Web Services are signed as AWS verifies them, and that no secret is shown."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lab.bedrock_signature import ACCESS_KEYS, SESSION_TOKEN, TEMPORARY, SignedRequest, check_signature
from lab.shapes import RequestRefused
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.credentials import Account, AccountAddress, Credentials
from router_service.providers.sigv4 import LARGE_BODY, AwsAccount, AwsKeys, AwsSigner, region_in_address
from tests.conftest import serving
from tests.router_service.providers.formats.parameter_cases import endpoint_for

LASTING = AwsKeys("AKIDLABEXAMPLE", ACCESS_KEYS["AKIDLABEXAMPLE"])
SHORT = AwsKeys(TEMPORARY, ACCESS_KEYS[TEMPORARY], SESSION_TOKEN)
URL = "http://127.0.0.1:8090/amazon-bedrock/v1/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
REQUEST = HttpRequest(URL, {"content-type": "application/json"}, b'{"messages":[]}')
ROLE_PATH = "/latest/meta-data/iam/security-credentials/"


def verify(request: HttpRequest) -> None:
    """Verify a request as the lab does, which makes the signature once more."""
    parts = urlsplit(request.url)
    headers = {**request.headers, "host": parts.netloc}
    check_signature(SignedRequest(parts.path, parts.query, headers, request.body))


async def signed(account: AwsAccount, request: HttpRequest = REQUEST) -> HttpRequest:
    """Return ``request`` with the headers of its signature."""
    headers = await AwsSigner(account).headers(request)
    return HttpRequest(request.url, request.headers | headers, request.body)


@pytest.mark.parametrize("keys", [LASTING, SHORT], ids=["lasting", "temporary"])
@pytest.mark.parametrize("path", ["a.b-v1%3A0", "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aprofile%2Fx", "plain"])
async def test_a_signature_is_verified(keys: AwsKeys, path: str) -> None:
    """Sign an address whose model has colons and slashes, and a large body in a thread."""
    for body in (b"{}", b" " * (LARGE_BODY + 1)):
        request = HttpRequest(f"https://bedrock.test/model/{path}/converse", {"content-type": "text/plain"}, body)
        verify(await signed(AwsAccount("eu-west-1", keys), request))


async def test_a_request_that_changed_is_refused() -> None:
    """Cover address, body and headers."""
    made = await signed(AwsAccount("us-east-1", SHORT))
    for changed in (
        HttpRequest(made.url, made.headers, b"{}"),
        HttpRequest(made.url.replace("sonnet", "opus"), made.headers, made.body),
        HttpRequest(made.url, made.headers | {"content-type": "text/plain"}, made.body),
    ):
        with pytest.raises(RequestRefused, match="does not match the signature"):
            verify(changed)
    with pytest.raises(RequestRefused, match="security token"):
        verify(HttpRequest(made.url, made.headers | {"x-amz-security-token": "other"}, made.body))


async def test_an_account_signs_what_credentials_send() -> None:
    """Sign the finished request, with the headers that the account adds."""
    at = endpoint_for("bedrock_converse", "amazon-bedrock", "m")
    account = Account(headers={"x-team": "harbour"}, aws=AwsAccount("us-east-1", SHORT))
    address = AccountAddress(at.provider, at.base_url, at.wire_format)
    credentials = Credentials(lab=False, accounts={address: account})
    request = await credentials.sign(REQUEST, at)
    assert "x-team" in request.headers["authorization"] and request.headers["x-team"] == "harbour"
    verify(request)
    shown = credentials.redactor(at).redact_bytes(f"{SHORT.session_token} {SHORT.secret_access_key}".encode())
    assert shown == b"[redacted] [redacted]"


async def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Show the id of a key alone, and write nothing to the log even where everything is logged."""
    with caplog.at_level(logging.DEBUG):
        await signed(AwsAccount("us-east-1", SHORT))
        await signed(AwsAccount("us-east-1", SHORT))
    assert SHORT.session_token not in caplog.text and SHORT.secret_access_key not in caplog.text
    assert repr(SHORT) == f"AwsKeys({TEMPORARY!r})"
    assert SHORT.secret_access_key not in repr(AwsAccount("us-east-1", SHORT))


async def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say what to install."""
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ApiError, match=r"install portolan\[bedrock\]") as raised:
        await signed(AwsAccount("us-east-1", SHORT))
    assert raised.value.code == 502


class Machine:
    """Imitate the metadata service of a machine. ``role`` is empty for a machine without one."""

    def __init__(self, role: str, lifetime_s: float = 3600) -> None:
        self.role, self.lifetime_s, self.asked = role, lifetime_s, 0

    def app(self) -> Starlette:
        """Return the service."""

        async def token(_request: Request) -> Response:
            return PlainTextResponse("machine-token", headers={"x-aws-ec2-metadata-token-ttl-seconds": "21600"})

        async def roles(request: Request) -> Response:
            assert request.headers["x-aws-ec2-metadata-token"] == "machine-token"
            return PlainTextResponse(self.role, status_code=200 if self.role else 404)

        async def keys(_request: Request) -> Response:
            self.asked += 1
            ends = datetime.now(UTC) + timedelta(seconds=self.lifetime_s)
            found = {"Code": "Success", "AccessKeyId": TEMPORARY, "SecretAccessKey": ACCESS_KEYS[TEMPORARY]}
            return JSONResponse(found | {"Token": SESSION_TOKEN, "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})

        return Starlette(
            routes=[
                Route("/latest/api/token", token, methods=["PUT"]),
                Route(ROLE_PATH, roles),
                Route(f"{ROLE_PATH}{{role}}", keys),
            ]
        )


@pytest.fixture(params=["harbour-role", ""], ids=["role", "none"])
def machine(request: pytest.FixtureRequest) -> Iterator[tuple[Machine, str]]:
    """Yield a machine and the address of its metadata."""
    found = Machine(request.param)
    with serving(found.app()) as url:
        yield found, url


async def test_the_role_of_a_machine_signs(machine: tuple[Machine, str]) -> None:
    """Ask for keys once, and say so where the machine has none."""
    found, url = machine
    signer = AwsSigner(AwsAccount("us-east-1", metadata_url=url))
    if not found.role:
        with pytest.raises(ApiError, match="metadata of this machine have no keys"):
            await signer.headers(REQUEST)
        return
    for _ in range(2):
        verify(HttpRequest(REQUEST.url, REQUEST.headers | await signer.headers(REQUEST), REQUEST.body))
    assert found.asked == 1


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/", "us-gov-west-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", None),
        ("http://127.0.0.1:8090", None),
    ],
)
def test_an_address_names_its_region(url: str, region: str | None) -> None:
    """Read the region where the host has it."""
    assert region_in_address(url) == region
