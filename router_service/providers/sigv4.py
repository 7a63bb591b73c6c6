"""Sign requests to Amazon Web Services with Signature Version 4.

Sources: AWS Identity and Access Management user guide: AWS Signature Version 4 for API requests; Amazon Bedrock user
guide: API keys, which are bearer tokens and need no signature. The package ``botocore`` makes the signature.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest

SERVICE = "bedrock"
MISSING = "Signing requests to Amazon Bedrock needs the package botocore: install portolan[bedrock]"
# Seconds for which the metadata service of a machine is waited for, and how often it is asked.
METADATA_TIMEOUT_S = 2.0
METADATA_ATTEMPTS = 2
# A larger body is hashed in a thread, so that other requests go on.
LARGE_BODY = 1 << 20
_REGION_IN_HOST = re.compile(
    r"^bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|api\.aws)$"
)


class AwsKeys(msgspec.Struct, frozen=True):
    """Hold an access key; ``session_token`` belongs to a temporary one. Neither secret is ever shown."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"AwsKeys({self.access_key_id!r})"


class AwsAccount(msgspec.Struct, frozen=True):
    """Say what signs requests for ``region``: ``keys``, else those that the metadata of the machine give.

    ``metadata_url`` is the address of the metadata service where it is not the usual one.
    """

    region: str
    keys: AwsKeys | None = None
    metadata_url: str | None = None


def region_in_address(base_url: str) -> str | None:
    """Return the region in the host of a Bedrock address, ``None`` for another host."""
    found = _REGION_IN_HOST.match(urlsplit(base_url).hostname or "")
    return found[1] if found else None


def can_sign() -> bool:
    """Return whether the package that signs is installed."""
    try:
        importlib.import_module("botocore.auth")
    except ImportError:
        return False
    return True


class AwsSigner:
    """Sign the requests of one account. Keys of the machine's metadata are renewed before they expire."""

    def __init__(self, account: AwsAccount) -> None:
        self._account = account
        self._credentials: Any = None
        self._loading = asyncio.Lock()

    async def headers(self, request: HttpRequest) -> dict[str, str]:
        """Return the headers that sign ``request``, whose headers and body must not change any more.

        Raises ``ApiError`` 502 without ``botocore``, and where the machine has no keys.
        """
        if not can_sign():
            raise ApiError("provider_unavailable", MISSING)
        keys = self._account.keys or await self._machine_keys()
        if len(request.body) > LARGE_BODY:
            return await asyncio.to_thread(_signed, request, keys, self._account.region)
        return _signed(request, keys, self._account.region)

    async def _machine_keys(self) -> AwsKeys:
        async with self._loading:
            if self._credentials is None:
                self._credentials = await asyncio.to_thread(_load_metadata, self._account.metadata_url)
            # Renewing asks the metadata service; it happens in a thread, and only when it is time.
            refreshes = self._credentials.refresh_needed()
            frozen = self._credentials.get_frozen_credentials
            found = await asyncio.to_thread(frozen) if refreshes else frozen()
        return AwsKeys(found.access_key, found.secret_key, found.token or "")


def _load_metadata(url: str | None) -> Any:
    """Return the renewable keys of the machine's role. Raises ``ApiError`` 502 where it has none."""
    from botocore.credentials import InstanceMetadataProvider
    from botocore.utils import InstanceMetadataFetcher

    fetcher = InstanceMetadataFetcher(
        timeout=METADATA_TIMEOUT_S,
        num_attempts=METADATA_ATTEMPTS,
        **({"config": {"ec2_metadata_service_endpoint": url}} if url else {}),
    )
    found = InstanceMetadataProvider(iam_role_fetcher=fetcher).load()
    if found is None:
        raise ApiError("provider_unavailable", "The metadata of this machine have no keys for Amazon Web Services")
    return found


def _signed(request: HttpRequest, keys: AwsKeys, region: str) -> dict[str, str]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    # At the level of debugging the library writes what it signs, session tokens included, to its log.
    logging.getLogger("botocore.auth").setLevel(logging.INFO)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    signed = AWSRequest(method="POST", url=request.url, data=request.body, headers=request.headers)
    SigV4Auth(credentials, SERVICE, region).add_auth(signed)
    return {
        name.lower(): value
        for name, value in signed.headers.items()
        if name.lower() in ("authorization", "x-amz-date", "x-amz-security-token")
    }
