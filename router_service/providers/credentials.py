"""Sign requests with the keys of a provider's account; several keys are rotated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.google_token import GoogleTokens, Send, ServiceAccount, TokenAnswer
from router_service.providers.redaction import NO_SECRETS, SecretRedactor
from router_service.providers.sigv4 import AwsAccount, AwsSigner

# The header that each wire format expects the key in; every other format takes a bearer token.
KEY_HEADERS = {"anthropic_messages": "x-api-key", "gemini": "x-goog-api-key"}
# Seconds for which a key is not used after the provider has refused it with this status, if the provider does not say.
COOLDOWN_S = {401: 600.0, 402: 600.0, 429: 30.0}
MAX_COOLDOWN_S = 3600.0
# A configured header of at least this length may be a key. Shorter ones are names of teams, versions and the like.
SHORTEST_SECRET_HEADER = 16
# Seconds for which an account that the configuration no longer has serves the requests that were planned with it.
RETIRED_S = 3600.0


# A header with one of them is echoed as it is, or without it.
SCHEMES = frozenset({"api-key", "apikey", "basic", "bearer", "key", "token"})


class Account(msgspec.Struct, frozen=True):
    """Hold what authenticates calls to one provider: ``keys``, and ``headers`` that every request is sent with.

    Without a key no header of the wire format is sent. A ``service_account`` is exchanged for tokens, which are sent
    in place of keys. The account ``aws`` signs each request in place of keys. ``key_headers`` are the headers for keys
    by wire format, where they are not the format's own.
    """

    keys: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    service_account: ServiceAccount | None = None
    aws: AwsAccount | None = None
    key_headers: Mapping[str, str] = {}

    def key_header(self, key: str, wire_format: str) -> dict[str, str]:
        """Return the header that holds ``key`` in this wire format; none for an empty key."""
        return key_header(key, self.key_headers.get(wire_format) or KEY_HEADERS.get(wire_format))


class AccountAddress(msgspec.Struct, frozen=True, order=True):
    """Say where the keys of an account may be sent: nowhere else."""

    provider: str
    base_url: str | None
    wire_format: str


class _KeyRing:
    """Hand out the headers of an account's keys in turn. ``only`` are those of an account with at most one key."""

    __slots__ = (
        "_clock", "_cool_until", "_headers", "_next", "_secrets", "_tokens_sent", "account", "only", "redactor",
        "retired_at", "signer", "tokens",
    )  # fmt: skip

    def __init__(self, account: Account, wire_format: str, clock: Callable[[], float], send: Send) -> None:
        self.account = account
        service = account.service_account
        self.tokens = GoogleTokens(service, send, clock) if service is not None else None
        self.signer = AwsSigner(account.aws) if account.aws is not None else None
        self._headers = [dict(account.headers) | account.key_header(key, wire_format) for key in account.keys or ("",)]
        self.only = self._headers[0] if len(self._headers) == 1 else None
        headers = [value for value in account.headers.values() if len(value) >= SHORTEST_SECRET_HEADER]
        signing = account.aws.keys if account.aws is not None else None
        secrets = (signing.secret_access_key, signing.session_token) if signing is not None else ()
        self._secrets = (*account.keys, *headers, *map(_after_scheme, headers), *secrets)
        self.redactor = SecretRedactor(self._secrets)
        self._tokens_sent: list[str] = []
        self.retired_at: float | None = None
        self._cool_until = [0.0] * len(self._headers)
        self._next = 0
        self._clock = clock

    def keep_secret(self, header: Mapping[str, str]) -> None:
        """Redact the token of ``header`` as well, and the one before, which requests in flight were sent with."""
        sent = [_after_scheme(value) for value in header.values()]
        if sent != self._tokens_sent[-1:]:
            self._tokens_sent = [*self._tokens_sent[-1:], *sent]
            self.redactor = SecretRedactor((*self._secrets, *self._tokens_sent))

    def rotate(self, refused: Sequence[HttpRequest] = ()) -> dict[str, str]:
        """Return the headers of the next key that is not cooled down, else of the one that will be first.

        The keys of ``refused`` are passed over as long as there are others.
        """
        now, count = self._clock(), len(self._headers)
        order = [(self._next + step) % count for step in range(count)]
        order = self._untried(order, refused) or order
        chosen = next((i for i in order if self._cool_until[i] <= now), None)
        if chosen is None:
            chosen = min(order, key=self._cool_until.__getitem__)
        self._next = chosen + 1
        return self._headers[chosen]

    def has_untried(self, refused: Sequence[HttpRequest]) -> bool:
        """Return whether a key that could serve now has signed none of ``refused``."""
        now = self._clock()
        return any(self._cool_until[i] <= now for i in self._untried(range(len(self._headers)), refused))

    def _untried(self, places: Iterable[int], refused: Sequence[HttpRequest]) -> list[int]:
        return [i for i in places if not any(self._headers[i].items() <= one.headers.items() for one in refused)]

    def cool(self, sent: Mapping[str, str], seconds: float) -> bool:
        """Cool the key down that ``sent`` was signed with; return whether another one can serve now."""
        now = self._clock()
        for place, headers in enumerate(self._headers):
            if headers.items() <= sent.items():
                self._cool_until[place] = max(self._cool_until[place], now + seconds)
        return any(until <= now for until in self._cool_until)


class Credentials:
    """Sign requests. With ``lab`` a provider without an account is imitated, and takes any key.

    An account serves one address alone, so that a request which was planned before the configuration has changed never
    takes a new key to an old address. ``clock`` returns seconds from any origin.
    """

    def __init__(
        self,
        *,
        lab: bool,
        accounts: Mapping[AccountAddress, Account] | None = None,
        clock: Callable[[], float] = time.monotonic,
        send: Send | None = None,
    ) -> None:
        self._lab = lab
        self._clock = clock
        self._send = send
        self._rings: dict[tuple[str, str | None, str], _KeyRing] = {}
        self.adopt(accounts or {})

    def adopt(self, accounts: Mapping[AccountAddress, Account]) -> None:
        """Replace the accounts. What is known of keys that stay is kept; the others finish what they have begun."""
        now = self._clock()
        wanted = {(at.provider, at.base_url, at.wire_format): account for at, account in accounts.items()}
        rings: dict[tuple[str, str | None, str], _KeyRing] = {}
        for address, ring in self._rings.items():
            account = wanted.get(address)
            if account is None:
                ring.retired_at = now if ring.retired_at is None else ring.retired_at
                if now - ring.retired_at <= RETIRED_S:
                    rings[address] = ring
            elif account == ring.account:
                ring.retired_at = None
                rings[address] = ring
        for address, account in wanted.items():
            if address not in rings:
                rings[address] = _KeyRing(account, address[2], self._clock, self._exchange)
        self._rings = rings

    def connect(self, send: Send) -> None:
        """Set what sends the requests by which accounts are exchanged for tokens."""
        self._send = send

    async def _exchange(self, request: HttpRequest, timeout_s: float) -> TokenAnswer:
        if self._send is None:
            raise ApiError("provider_unavailable", "The router is not connected yet, so that it has no token")
        return await self._send(request, timeout_s)

    async def sign(self, request: HttpRequest, endpoint: Endpoint, refused: Sequence[HttpRequest] = ()) -> HttpRequest:
        """Return ``request`` with the headers that authenticate it at ``endpoint``. Raises ``ApiError`` 502.

        ``refused`` is what the same request was before: another key signs it, if there is one.
        """
        if (at_once := self.sign_at_once(request, endpoint, refused)) is not None:
            return at_once
        ring = self._rings[endpoint.provider, endpoint.base_url, endpoint.wire_format]
        signed = ring.only or ring.rotate(refused)
        if ring.tokens is not None:
            token = await ring.tokens.header()
            ring.keep_secret(token)
            signed = signed | token
        if ring.signer is not None:
            headers = request.headers | signed
            signed = signed | await ring.signer.headers(HttpRequest(request.url, headers, request.body))
        return HttpRequest(request.url, request.headers | signed, request.body)

    def sign_at_once(
        self, request: HttpRequest, endpoint: Endpoint, refused: Sequence[HttpRequest] = ()
    ) -> HttpRequest | None:
        """Do as ``sign`` does; return ``None`` where a token or a signature has to be awaited."""
        ring = self._rings.get((endpoint.provider, endpoint.base_url, endpoint.wire_format))
        if ring is None:
            if not self._lab:
                raise ApiError("provider_unavailable", f"The router has no key of {endpoint.provider_name}")
            signed = _lab_header(endpoint.wire_format)
        elif ring.tokens is not None or ring.signer is not None:
            return None
        else:
            signed = ring.only or ring.rotate(refused)
        return HttpRequest(request.url, request.headers | signed, request.body)

    def redactor(self, endpoint: Endpoint) -> SecretRedactor:
        """Return what removes the secrets that requests to ``endpoint`` are signed with, once the last was signed."""
        ring = self._rings.get((endpoint.provider, endpoint.base_url, endpoint.wire_format))
        return NO_SECRETS if ring is None else ring.redactor

    def has_untried(self, endpoint: Endpoint, refused: Sequence[HttpRequest]) -> bool:
        """Return whether the account has a key that has signed none of ``refused``."""
        ring = self._rings.get((endpoint.provider, endpoint.base_url, endpoint.wire_format))
        return ring is not None and ring.only is None and ring.has_untried(refused)

    def pass_on(self, request: HttpRequest, endpoint: Endpoint, status: int, retry_after: float | None) -> bool:
        """Cool the key of ``request`` down that the provider has refused with ``status``.

        Return whether another key of the account can serve the request. ``retry_after`` is in seconds.
        """
        ring = self._rings.get((endpoint.provider, endpoint.base_url, endpoint.wire_format))
        seconds = COOLDOWN_S.get(status)
        if ring is not None and ring.tokens is not None and status == 401:
            return ring.tokens.forget(request.headers)
        if ring is None or ring.only is not None or seconds is None:
            return False
        return ring.cool(request.headers, min(retry_after or seconds, MAX_COOLDOWN_S))


def key_header(key: str, name: str | None) -> dict[str, str]:
    """Return the header ``name`` with ``key``, by default that of a bearer token; none for an empty key."""
    name = name or "authorization"
    if not key:
        return {}
    return {name: f"Bearer {key}" if name.endswith("authorization") else key}


def _after_scheme(value: str) -> str:
    """Return the secret of a header such as ``Bearer secret``; no text for one without a scheme."""
    scheme, _, secret = value.partition(" ")
    return secret if scheme.lower() in SCHEMES else ""


@lru_cache(maxsize=64)
def _lab_header(wire_format: str) -> dict[str, str]:
    return Account().key_header("lab", wire_format)
