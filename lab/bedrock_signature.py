"""Verify the signatures of requests to Amazon Web Services by making them once more.

Sources: AWS Identity and Access Management user guide: Create a signed AWS API request; Amazon Bedrock user guide: API
keys. The sentences are those that AWS SDKs show in their issues.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from lab.shapes import RequestRefused

# The access keys that the lab knows, with their secrets, and the session token of the temporary one.
ACCESS_KEYS = {"AKIDLABEXAMPLE": "lab/secret+access/key", "ASIDLABEXAMPLE": "lab/secret+temporary/key"}
SESSION_TOKEN = "lab-session-token/with+signs=="
TEMPORARY = "ASIDLABEXAMPLE"
SERVICE = "bedrock"
ALGORITHM = "AWS4-HMAC-SHA256"
MAX_AGE_S = 300
# An API key that the lab takes for one that Amazon does not know.
WRONG_KEY = "invalid-key"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/,]+)/(\d{{8}})/([^/,]+)/([^/,]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """Hold what a signature covers; ``path`` is as it was sent."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def check_signature(request: SignedRequest) -> None:
    """Raise ``RequestRefused`` unless the request has a valid signature or an API key."""
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith("bearer "):
        if authorization[7:].strip() in ("", WRONG_KEY):
            raise _refused("AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")
        return
    if not authorization:
        raise _refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None:
        raise _refused("IncompleteSignatureException", "Authorization header requires 'Credential' parameter.")
    key, date, region, service, names, signature = found.groups()
    secret = ACCESS_KEYS.get(key)
    if secret is None:
        raise _refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if service != SERVICE:
        raise _refused("InvalidSignatureException", f"Credential should be scoped to correct service: '{SERVICE}'.")
    _check_time(request.headers.get("x-amz-date", ""), date)
    signed = names.split(";")
    if key == TEMPORARY and request.headers.get("x-amz-security-token") != SESSION_TOKEN:
        raise _refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if "host" not in signed or (key == TEMPORARY and "x-amz-security-token" not in signed):
        raise _refused("InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    scope = f"{date}/{region}/{service}/aws4_request"
    canonical = canonical_request(request, signed)
    text = "\n".join((ALGORITHM, request.headers["x-amz-date"], scope, hashlib.sha256(canonical).hexdigest()))
    if not hmac.compare_digest(signature, _signature(secret, (date, region, service), text)):
        # The vendor shows what should have been signed, a session token included.
        shown = f"\n\nThe Canonical String for this request should have been\n'{canonical.decode()}'\n"
        raise _refused("InvalidSignatureException", MISMATCH + shown)


def canonical_request(request: SignedRequest, signed: list[str]) -> bytes:
    """Return the canonical request. The path, which is encoded already, is encoded once more."""
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    query = "&".join(sorted(request.query.split("&"))) if request.query else ""
    path = quote(request.path, safe="/-_.~")
    digest = hashlib.sha256(request.body).hexdigest()
    return "\n".join(("POST", path, query, headers, ";".join(signed), digest)).encode()


def _signature(secret: str, scope: tuple[str, ...], text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _check_time(written: str, date: str) -> None:
    try:
        sent = datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _refused(
            "IncompleteSignatureException", "Authorization header requires existence of 'X-Amz-Date'."
        ) from None
    if not written.startswith(date) or abs(time.time() - sent) > MAX_AGE_S:
        raise _refused(
            "InvalidSignatureException", f"Signature expired: {written} is now earlier than the current time."
        )


def _refused(kind: str, message: str) -> RequestRefused:
    return RequestRefused(message, status=403, kind=kind)
