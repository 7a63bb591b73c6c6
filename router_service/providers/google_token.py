"""Exchange the key of a service account for tokens of Google Cloud, and keep one that is valid.

Source: Google Identity docs: Using OAuth 2.0 for server to server applications, "HTTP/REST".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_URI = "https://oauth2.googleapis.com/token"
# Seconds for which an assertion is valid, the most that Google takes, and those that an exchange may take.
ASSERTION_S = 3600
TIMEOUT_S = 10.0
# A token is exchanged this many seconds before it expires, or half of its lifetime if that is shorter.
MARGIN_S = 300.0
MAX_LIFETIME_S = 86_400
NEW_S = 30.0
# No key file of a service account is near this size.
MAX_KEY_FILE_BYTES = 1 << 16
MISSING = "Tokens of Google Cloud need the package google-auth: install portolan[vertex]"


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a key file says. The private key is never shown."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = TOKEN_URI

    def __repr__(self) -> str:
        return f"ServiceAccount({self.client_email!r})"


class TokenAnswer(Protocol):
    """Hold the answer of the token's address."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


Send = Callable[[HttpRequest, float], Awaitable[TokenAnswer]]


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int = ASSERTION_S


def read_service_account(content: bytes) -> ServiceAccount:
    """Return the account of a key file. Raises ``ValueError`` with a sentence that shows nothing of the key."""
    try:
        found: dict[str, Any] = msgspec.json.decode(content[: MAX_KEY_FILE_BYTES + 1], type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("is no JSON key file of a service account") from None
    if found.get("type") != "service_account":
        raise ValueError("is no key file of a service account: its type must be service_account")
    try:
        account = msgspec.convert(found, ServiceAccount)
    except msgspec.ValidationError:
        raise ValueError("needs the texts client_email and private_key, as a key file of Google Cloud has") from None
    _signer(account)
    return account


class GoogleTokens:
    """Hand out the token of one account. ``clock`` returns seconds from any origin.

    A token that is about to expire serves while the next one is exchanged. There is one exchange at a time.
    """

    def __init__(self, account: ServiceAccount, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._account, self._send, self._clock = account, send, clock
        self._token = ""
        self._renewed_at = self._expires_at = self._granted_at = float("-inf")
        self._exchange: asyncio.Task[None] | None = None

    async def header(self) -> dict[str, str]:
        """Return the header with a valid token. Raises ``ApiError`` 502 where none can be had."""
        now = self._clock()
        if now >= self._renewed_at:
            exchange = self._begin()
            if now >= self._expires_at:
                # A request that is cancelled does not take the token away from the others that need it.
                await asyncio.shield(exchange)
        return {"authorization": f"Bearer {self._token}"}

    def forget(self, sent: Mapping[str, str]) -> bool:
        """Forget the token that ``sent`` was signed with, which the provider has refused.

        Return whether another one may serve: a token that is new is refused for another reason than its age.
        """
        if sent.get("authorization") != f"Bearer {self._token}":
            return True
        is_new = self._clock() < self._granted_at + NEW_S
        self._renewed_at = self._expires_at = float("-inf")
        return not is_new

    def _begin(self) -> asyncio.Task[None]:
        if self._exchange is None or self._exchange.done():
            self._exchange = asyncio.create_task(self._renew())
            # The next request tries again; nobody may be there to hear of this one.
            self._exchange.add_done_callback(_heard)
        return self._exchange

    async def _renew(self) -> None:
        form = urlencode({"grant_type": GRANT, "assertion": self._assertion()}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await self._send(HttpRequest(self._account.token_uri, headers, form), TIMEOUT_S)
        if answer.status != 200:
            raise _refused(answer.status, answer.body)
        try:
            granted = msgspec.json.decode(answer.body, type=_Granted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ApiError("provider_unavailable", "Google's token address answered without a token") from None
        now = self._clock()
        lifetime = min(max(granted.expires_in, 0), MAX_LIFETIME_S)
        self._token, self._granted_at = granted.access_token, now
        self._expires_at = now + lifetime
        self._renewed_at = self._expires_at - min(MARGIN_S, lifetime / 2)

    def _assertion(self) -> str:
        from google.auth import jwt

        now = int(time.time())
        claims = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": self._account.token_uri,
            "iat": now,
            "exp": now + ASSERTION_S,
        }
        signed: bytes = jwt.encode(_signer(self._account), claims)
        return signed.decode()


def _signer(account: ServiceAccount) -> Any:
    """Return what signs with the key. Raises ``ValueError`` for one that is none, or without the package."""
    try:
        from google.auth import crypt
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        return crypt.RSASigner.from_string(account.private_key, account.private_key_id or None)
    except Exception:
        # The library's own sentences may quote the key.
        raise ValueError("has a private_key that is no RSA key in PEM") from None


def _refused(status: int, body: bytes) -> ApiError:
    told = ""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        found = msgspec.json.decode(body)
        if isinstance(found, dict):
            words = [found.get(name) for name in ("error", "error_description")]
            told = ": ".join(word[:200] for word in words if isinstance(word, str) and word)
    return ApiError(
        "provider_unavailable", f"Google refuses the service account ({status}){f': {told}' if told else ''}"
    )


def _heard(exchange: asyncio.Task[None]) -> None:
    if not exchange.cancelled():
        exchange.exception()
