"""Find the credentials with which a provider is called, and sign requests with them."""

from __future__ import annotations

import os

from data.catalogue.types import Endpoint
from router_service.core.http_request import HttpRequest

# The header that each wire format expects the key in; every other format takes a bearer token.
KEY_HEADERS = {"anthropic_messages": "x-api-key"}


class Credentials:
    """Read providers' keys from the environment. With ``lab`` every provider is imitated, and takes any key."""

    def __init__(self, *, lab: bool) -> None:
        self._lab = lab

    def api_key(self, endpoint: Endpoint) -> str:
        """Return the first key of ``endpoint.key_env`` that is set, or an empty string."""
        if self._lab:
            return "lab"
        return next((value for name in endpoint.key_env if (value := os.environ.get(name, "").strip())), "")

    async def sign(self, request: HttpRequest, endpoint: Endpoint) -> HttpRequest:
        """Return ``request`` with the headers that authenticate it at ``endpoint``."""
        key, header = self.api_key(endpoint), KEY_HEADERS.get(endpoint.wire_format)
        signed = {header: key} if header else {"authorization": f"Bearer {key}"}
        return HttpRequest(request.url, request.headers | signed, request.body)
