"""Sign the thinking that the lab emits, so that it can refuse thinking that it did not emit unchanged.

The vendor's signatures are opaque and valid on all of its platforms. Those of the lab are too: every provider of one
lab accepts them, and a lab with another seed does not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_DIGEST_BYTES = 32
_THINKING, _REDACTED, _SEARCH, _PART = b"thinking", b"redacted", b"search", b"part"


class Signatures:
    """Sign and verify with a key that follows from ``seed``."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"lab/{seed}".encode()).digest()

    def sign_thinking(self, thinking: str) -> str:
        """Return the signature of a thinking block."""
        return self._seal(_THINKING, b"", thinking.encode())

    def is_signature(self, signature: str, thinking: str) -> bool:
        """Return true if this lab signed exactly ``thinking``."""
        return hmac.compare_digest(signature.encode(), self.sign_thinking(thinking).encode())

    def redact(self, thinking: str) -> str:
        """Return the data of a redacted thinking block."""
        return self._seal(_REDACTED, thinking.encode(), b"")

    def is_redacted(self, data: str) -> bool:
        """Return true if this lab made ``data`` and nobody changed it."""
        return self._opens(_REDACTED, data)

    def encrypt(self, content: str) -> str:
        """Return the opaque content of a search result."""
        return self._seal(_SEARCH, content.encode(), b"")

    def is_encrypted(self, content: str) -> bool:
        """Return true if this lab made the opaque ``content`` of a search result."""
        return self._opens(_SEARCH, content)

    def sign_part(self, content: str) -> str:
        """Return the signature of a part of a response, which names the ``content`` that it belongs to."""
        return self._seal(_PART, hashlib.sha256(content.encode()).digest(), b"")

    def is_part_signature(self, signature: str, content: str | None = None) -> bool:
        """Return true if this lab made ``signature``, and for ``content`` if that is given.

        Clients write the bytes of a signature in either alphabet of base64.
        """
        signature = signature.replace("-", "+").replace("_", "/")
        return self._opens(_PART, signature) and (content is None or signature == self.sign_part(content))

    def _seal(self, purpose: bytes, payload: bytes, covered: bytes) -> str:
        digest = hmac.digest(self._key, purpose + b"\0" + payload + b"\0" + covered, "sha256")
        return base64.b64encode(digest + payload).decode()

    def _opens(self, purpose: bytes, sealed: str) -> bool:
        try:
            payload = base64.b64decode(sealed, validate=True)[_DIGEST_BYTES:]
        except (ValueError, binascii.Error):
            return False
        return hmac.compare_digest(sealed.encode(), self._seal(purpose, payload, b"").encode())
