"""Allow web pages of other origins to call the API (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).

A key travels in a header that a page must know, never in a cookie, so no credentials of the browser are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from starlette.datastructures import Headers as RequestHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from router_service.api.skins.skin import Headers
from router_service.core.errors import ApiError

# Under this key of the lifespan's state, the application passes its ``CrossOrigin`` to the server's protocol.
CROSS_ORIGIN_KEY = "cross_origin"
# Pages that this machine serves itself: development servers and desktop applications.
LOOPBACK = r"https?://(localhost|[a-z0-9.-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?"
METHODS = ("GET", "HEAD", "POST")
EXPOSED = (
    "x-generation-id",
    "x-request-id",
    "request-id",
    "retry-after",
    "x-portolan-dropped-parameters",
    "x-token-count",
)
MAX_AGE_S = 600
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+")


def is_origin(text: str) -> bool:
    """Return whether ``text`` is ``*`` or an origin as browsers send it, ``null`` (a file's) included."""
    return text in ("*", "null") or _ORIGIN.fullmatch(text) is not None


class CrossOrigin:
    """Decide which origins may read responses: those of loopback, and ``origins``, in which ``*`` means any."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self._any = "*" in origins
        self._origins = tuple(origins)
        self._loopback = re.compile(LOOPBACK)
        self._exposed = (b"access-control-expose-headers", ", ".join(EXPOSED).encode())

    def headers(self, origin: bytes) -> Headers:
        """Return the headers that let a page of ``origin`` read a response; those of a cache alone if it may not."""
        vary = (b"vary", b"Origin")
        if self._any:
            return [(b"access-control-allow-origin", b"*"), self._exposed]
        text = origin.decode("latin-1")
        if text not in self._origins and self._loopback.fullmatch(text) is None:
            return [vary]
        return [(b"access-control-allow-origin", origin), vary, self._exposed]

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with these headers, which also responds to preflights."""
        return _Preflights(
            app,
            allow_origins=self._origins,
            allow_origin_regex=LOOPBACK,
            allow_methods=METHODS,
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=EXPOSED,
            max_age=MAX_AGE_S,
        )


class _Preflights(CORSMiddleware):
    """Refuse a preflight with the API's error envelope, for the people who look it up."""

    def preflight_response(self, request_headers: RequestHeaders) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        origin = request_headers["origin"]
        refused = ApiError(
            "permission_denied",
            f"{bytes(answer.body).decode()}: pages of {origin[:200]!r} may send {', '.join(METHODS)} once "
            "PORTOLAN_CORS_ORIGINS names their origin",
        )
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return cast(Response, JSONResponse(refused.envelope(), status_code=refused.code, headers=kept))
