"""Remove the keys of a provider's account from what the provider sends: some echo the key that they refuse."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from router_service.core.errors import ApiError

REDACTED = "[redacted]"
# A shorter key is a placeholder such as "none" or "lab", which may be a word of any text.
SHORTEST_SECRET = 8
# So many first characters make a text suspicious. Many words end with fewer: "ask-" ends as a key may begin.
MARK = 4
# So many first characters are more than a vendor's keys have in common, such as "sk-ant-api03-".
SURE = 16


class SecretRedactor:
    """Replace ``secrets`` wherever they occur. A secret of fewer than ``SHORTEST_SECRET`` characters stays.

    ``written`` are the spellings that are replaced in answers, the longest first and of ``longest`` characters, and
    ``marks`` are how they begin.
    """

    __slots__ = ("_bytes", "_texts", "longest", "marks", "written")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        kept = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        # Some servers escape the slash in JSON, and some tell the address that they were asked at.
        written = kept | {secret.replace("/", "\\/") for secret in kept} | {quote(secret, safe="") for secret in kept}
        # A secret that begins like a shorter one is replaced first.
        self.written = tuple(sorted(written, key=len, reverse=True))
        self.longest = max(map(len, self.written), default=0)
        self.marks = tuple({secret[:MARK] for secret in self.written})
        self._bytes = tuple(secret.encode() for secret in self.written)
        # An error is short, and rare: more is searched for.
        written |= {base64.b64encode(secret.encode()).decode() for secret in kept}
        self._texts = tuple(sorted(written, key=len, reverse=True))

    def redact_bytes(self, content: bytes) -> bytes:
        """Return ``content`` without the secrets; the same object where it has none."""
        for secret in self._bytes:
            if secret in content:
                content = content.replace(secret, REDACTED.encode())
        return content

    def redact_text(self, text: str) -> str:
        """Return ``text`` without the secrets."""
        for secret in self.written:
            text = text.replace(secret, REDACTED)
        return text

    def tells(self, beginning: str) -> bool:
        """Return whether ``beginning``, the first characters of a secret, tells so much of it that it must not pass."""
        return any(
            secret.startswith(beginning) and len(beginning) >= min(SURE, max(SHORTEST_SECRET, len(secret) // 2))
            for secret in self.written
        )

    def redact_error(self, error: ApiError) -> None:
        """Remove the secrets from the sentence and the metadata of ``error``."""
        if self._texts:
            error.message = self._redact(error.message)
            error.args = (error.message,)
            error.metadata = self._redact(error.metadata)

    def _redact(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._texts:
                value = value.replace(secret, REDACTED)
        elif isinstance(value, dict):
            return {name: self._redact(part) for name, part in value.items()}
        elif isinstance(value, list):
            return [self._redact(part) for part in value]
        return value


NO_SECRETS = SecretRedactor()
