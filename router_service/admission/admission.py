"""Admit a request: find its key, its constraints and the region of its client."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope

from router_service.admission.client_region import ClientRegions
from router_service.admission.constraint_resolver import ConstraintResolver
from router_service.admission.hosts import RegionalHosts
from router_service.admission.key_rules import NO_RULES
from router_service.admission.keys import Key, KeyStore
from router_service.core.caller import Caller
from router_service.core.errors import ApiError
from router_service.planning.constraints import ConstraintSet


class Admission:
    """Determine from memory what a request may do, by its headers and its connection."""

    def __init__(
        self, keys: KeyStore, resolver: ConstraintResolver, hosts: RegionalHosts, client_regions: ClientRegions
    ) -> None:
        self.keys = keys
        self.hosts = hosts
        self._resolver = resolver
        self._client_regions = client_regions

    def known_key(self, headers: Mapping[bytes, bytes]) -> Key | None:
        """Return the key of a request if an earlier one had the same header, without a coroutine; else ``None``."""
        return self.keys.by_header.get(headers.get(b"authorization", b""))

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Key:
        """Return the key of a request.

        Raises ``ApiError`` 401 saying what to send, 403 for a key whose rules are damaged.
        """
        if (known := self.known_key(headers)) is not None:
            return known
        header = headers.get(b"authorization", b"")
        value = header.decode("latin-1")
        scheme, _, token = value.partition(" ")
        token = token.strip() or headers.get(b"x-api-key", b"").decode("latin-1")
        if not token or (value and scheme.lower() != "bearer"):
            raise ApiError("authentication", "No API key found: send the header 'Authorization: Bearer sk-or-v1-…'")
        key = await self.keys.find(token)
        if key is None:
            raise ApiError(
                "authentication", "The API key is unknown, revoked or expired: make one with 'portolan keys create'"
            )
        if key.policy is None:
            raise ApiError(
                "permission_denied", "This key's policy cannot be read: set it again with 'portolan keys policy'"
            )
        if header:
            self.keys.by_header.put(header, key)
        return key

    def caller(self, key: Key, headers: Mapping[bytes, bytes], scope: Scope) -> Caller:
        """Return the sender of a request with ``key``."""
        return Caller(
            key.hash,
            self.constraints(key, headers),
            self.client_region(key, headers, scope),
            self._client_regions.country(headers),
        )

    def constraints(self, key: Key, headers: Mapping[bytes, bytes]) -> ConstraintSet:
        """Return the constraints that deployment, regional host and key set for the request."""
        return self._resolver.constraints(key.policy or NO_RULES, self.hosts.find(headers))

    def client_region(self, key: Key, headers: Mapping[bytes, bytes], scope: Scope) -> str | None:
        """Return the region that the request comes from, where it is known."""
        peer = scope.get("client")
        default = key.policy.client_region if key.policy else None
        return self._client_regions.find(headers, peer[0] if peer else None, default)
