"""Forward analytics questions to their own process: they read many rows, and would hold up requests here."""

from __future__ import annotations

import httpx2
from fastapi import Request, Response

from data.analytics import ALL_KEYS, SCOPE_HEADER, TOKEN_HEADER
from router_service.admission.keys import Key
from router_service.core.errors import ApiError

MAX_ANSWER_BYTES = 64 * 1024 * 1024
# The process itself ends a question after 30 s.
TIMEOUT_S = 60.0
_RELAYED = ("content-type", "allow")


class AnalyticsForwarder:
    """Forward requests to the process at ``url``, which knows the router by ``token``; ``None`` where there is none."""

    def __init__(self, url: str | None, token: str) -> None:
        self._url = url and url.rstrip("/")
        self._token = token
        self._client: httpx2.AsyncClient | None = None

    async def forward(self, request: Request, path: str, key: Key, body: bytes) -> Response:
        """Return the process's answer to what ``key`` may see. Raises ``ApiError`` if there is none."""
        if self._url is None:
            raise ApiError(
                "not_found", "This router has no analytics: start `portolan analytics` and set PORTOLAN_ANALYTICS_URL"
            )
        headers = {
            SCOPE_HEADER: ALL_KEYS if key.management else key.hash,
            TOKEN_HEADER: self._token,
            "accept": request.headers.get("accept", "*/*"),
            "content-type": "application/json",
        }
        # Never through a proxy of the environment: the process is on this machine.
        client = self._client = self._client or httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        url = httpx2.URL(f"{self._url}{path}", query=request.url.query.encode())
        try:
            async with client.stream(request.method, url, headers=headers, content=body or None) as answer:
                content = b""
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > MAX_ANSWER_BYTES:
                        raise ApiError("invalid_request", "The answer is too large; ask for fewer rows by limit")
        except httpx2.HTTPError:
            raise ApiError("provider_overloaded", "The analytics process does not answer; try again") from None
        relayed = {name: answer.headers[name] for name in _RELAYED if name in answer.headers}
        return Response(content, answer.status_code, relayed)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
