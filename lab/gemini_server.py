"""Read Google's addresses, and hand out the tokens of Vertex AI.

Sources: Gemini API reference: generateContent; Vertex AI reference: projects.locations.publishers.models; Google
Identity docs: Using OAuth 2.0 for server to server applications.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lab.gemini_embeddings import METHODS as EMBEDDINGS
from lab.gemini_embeddings import SHAPES
from lab.gemini_fields import documented_names
from lab.gemini_refusals import BAD_TOKEN
from lab.intake import read_body
from lab.shapes import RequestRefused
from lab.wire import ErrorWire, Wire

_PROJECT = "projects/{project}/locations/{location}/publishers/google/models"
CACHE_PATHS = (
    "v1beta",
    "v1",
    *(f"{version}/projects/{{project}}/locations/{{location}}" for version in ("v1beta1", "v1")),
)
# A router calls ``v1`` in place of the provider's own address; Google's clients add the version themselves.
MODEL_PATHS = ("v1/models", "v1beta/models", f"v1/{_PROJECT}", f"v1beta1/{_PROJECT}")
METHODS = ("generateContent", "streamGenerateContent")
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_LIFETIME_S = 3600
# No assertion of a service account is near this size.
MAX_FORM_BYTES = 1 << 20


def project_of(request: Request) -> str:
    """Return the project that a request is made for: that of the address at Vertex AI, else that of the key."""
    if "project" in request.path_params:
        return "projects/{project}/locations/{location}".format_map(request.path_params)
    return request.headers.get("x-goog-api-key", "")


async def read_generation(request: Request, wire: Wire) -> dict[str, Any]:
    """Return the JSON object that was sent, with its fields named as the documentation does."""
    return documented_names(await read_body(request, wire))


@dataclass(frozen=True, slots=True)
class EmbeddingsReader:
    """Read the body of a request for embeddings, with the model of its address."""

    model: str
    method: str

    async def __call__(self, request: Request, wire: ErrorWire) -> dict[str, Any]:
        body = documented_names(await read_body(request, wire), SHAPES[self.method])
        named = body.get("model", f"models/{self.model}")
        if named != f"models/{self.model}":
            raise RequestRefused("* EmbedContentRequest.model: the model must be the address's\n")
        return body | {"model": self.model}


@dataclass
class TokenOffice:
    """Exchange assertions of service accounts for tokens. ``issued`` counts the tokens by account.

    ``lifetime_s`` (s) is that of a token. The lab has no keys of accounts, so it checks the claims alone.
    """

    lifetime_s: int = TOKEN_LIFETIME_S
    issued: Counter[str] = field(default_factory=Counter)
    tokens: dict[str, float] = field(default_factory=dict)

    async def exchange(self, request: Request) -> Response:
        """Return a token, or the refusal of an assertion."""
        form = parse_qs((await request.body())[:MAX_FORM_BYTES].decode("utf-8", "replace"))
        claims = _claims(form.get("assertion", [""])[0])
        now = time.time()
        if form.get("grant_type") != [GRANT] or claims is None:
            return _refused("invalid_grant", "Bad Request")
        if claims.get("scope") != SCOPE or not isinstance(claims.get("iss"), str):
            return _refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        issued, ends = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(ends, int) or not issued - 60 <= now <= ends:
            return _refused("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes).")
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self.issued[claims["iss"]] += 1
        self.tokens[token] = now + self.lifetime_s
        return JSONResponse({"access_token": token, "expires_in": self.lifetime_s, "token_type": "Bearer"})

    def knows(self, authorization: str) -> bool:
        """Return whether the header has a token that is valid now."""
        kind, _, token = authorization.partition(" ")
        return kind.lower() == "bearer" and self.tokens.get(token, 0.0) > time.time()


@dataclass(frozen=True, slots=True)
class ClaimedModel:
    """Hold what the address of a request says. ``is_vertex`` is true at a project, where a token is needed."""

    model: str
    method: str
    alt: str | None
    is_vertex: bool
    authorization: str
    project: str

    @classmethod
    def read(cls, request: Request) -> ClaimedModel:
        """Read the address of ``request``."""
        model, _, method = request.path_params["call"].partition(":")
        return cls(
            model,
            method,
            request.query_params.get("alt"),
            "project" in request.path_params,
            request.headers.get("authorization", ""),
            project_of(request),
        )

    @property
    def stream(self) -> bool:
        return self.method == "streamGenerateContent"

    @property
    def embeds(self) -> bool:
        return self.method in EMBEDDINGS and (self.is_vertex or self.method != "predict")

    def refusal(self, office: TokenOffice) -> RequestRefused | None:
        """Return why Google refuses this address, ``None`` if it does not."""
        if self.method not in METHODS and not self.embeds:
            return RequestRefused("The requested URL was not found on this server.", status=404, kind="NOT_FOUND")
        if self.stream and self.alt != "sse":
            return RequestRefused("The lab streams server-sent events alone: add alt=sse to the address.")
        if self.is_vertex and not office.knows(self.authorization):
            return RequestRefused(BAD_TOKEN, status=401, kind="UNAUTHENTICATED")
        return None


def _claims(assertion: str) -> dict[str, Any] | None:
    """Return the claims of a signed token, ``None`` for one that is none."""
    pieces = assertion.split(".")
    if len(pieces) != 3:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(pieces[1] + "=" * (-len(pieces[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status_code=400)
