"""Open Google's own client to a lab, at AI Studio and at Vertex AI."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from google import genai
from google.auth.credentials import Credentials as GoogleCredentials
from google.genai import types

ONCE = types.HttpRetryOptions(attempts=1)
CLAIMS = {
    "iss": "pilot@harbour.example",
    "scope": "https://www.googleapis.com/auth/cloud-platform",
    "iat": 1_700_000_000,
    "exp": 4_000_000_000,
}


class _Token(GoogleCredentials):
    """Hold a token that the client sends to Vertex AI."""

    def __init__(self, token: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = token

    @property
    def expired(self) -> bool:
        return False

    def refresh(self, request: Any) -> None:
        raise AssertionError("the token needs no refresh")


@contextmanager
def studio_client(lab_url: str, key: str = "key") -> Iterator[genai.Client]:
    """Yield a client of AI Studio."""
    options = types.HttpOptions(base_url=f"{lab_url}/google", retry_options=ONCE)
    client = genai.Client(api_key=key, http_options=options)
    yield client
    client.close()


@contextmanager
def vertex_client(lab_url: str, token: str) -> Iterator[genai.Client]:
    """Yield a client of Vertex AI."""
    options = types.HttpOptions(base_url=f"{lab_url}/google-vertex", retry_options=ONCE)
    client = genai.Client(
        vertexai=True, project="harbour", location="europe-west1", credentials=_Token(token), http_options=options
    )
    yield client
    client.close()


def token_form(assertion: str) -> dict[str, str]:
    """Return the form that asks for a token."""
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


def granted_token(lab_url: str) -> str:
    """Return a token of the lab."""
    body = base64.urlsafe_b64encode(json.dumps(CLAIMS).encode()).decode().rstrip("=")
    granted = httpx2.post(f"{lab_url}/_google/token", data=token_form(f"e30.{body}.e30")).json()
    assert granted["token_type"] == "Bearer" and granted["expires_in"] == 3600
    return str(granted["access_token"])
