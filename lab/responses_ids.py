"""Make the ids and the encrypted reasoning of the lab's responses, so that it recognises its own without storing them.

An id tells which reasoning an item belongs to: those of one group were made together. The lab of another seed knows
none of them, as another account of the vendor would not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random

from lab.signatures import Signatures

_GROUP, _OWN, _MAC = 12, 8, 12
_ALONE = "0" * _GROUP
_DIGEST_BYTES = 32


class ItemSeals:
    """Make and verify with a key that follows from ``seed``."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"lab/items/{seed}".encode()).digest()
        self._signatures = Signatures(seed)

    def item_id(self, prefix: str, group: str | None, dice: random.Random) -> str:
        """Return an id that begins with ``prefix``, of an item of a group or of none."""
        body = f"{group or _ALONE}{dice.getrandbits(4 * _OWN):0{_OWN}x}"
        return f"{prefix}_{body}{self._mac(body)}"

    def is_own(self, item_id: str) -> bool:
        """Return true if this lab made ``item_id``."""
        body = item_id.rpartition("_")[2]
        return len(body) == _GROUP + _OWN + _MAC and hmac.compare_digest(
            self._mac(body[:-_MAC]).encode(), body[-_MAC:].encode()
        )

    def group_of_id(self, item_id: str) -> str | None:
        """Return the group of an id of this lab, ``None`` for an item without reasoning before it."""
        group = item_id.rpartition("_")[2][:_GROUP]
        return None if group == _ALONE else group

    def encrypt(self, group: str, reasoning: str) -> str:
        """Return the encrypted content of a reasoning item."""
        return self._signatures.redact(f"{group} {reasoning}")

    def group_of_content(self, content: str) -> str | None:
        """Return the group of encrypted content, ``None`` for content that this lab has not made."""
        if not content.isascii() or not self._signatures.is_redacted(content):
            return None
        try:
            payload = base64.b64decode(content, validate=True)[_DIGEST_BYTES:]
        except (ValueError, binascii.Error):
            return None
        return payload.decode().partition(" ")[0]

    def _mac(self, body: str) -> str:
        return hmac.digest(self._key, body.encode(), "sha256").hex()[:_MAC]


def new_group(dice: random.Random) -> str:
    """Return the name of a group."""
    return f"{dice.getrandbits(4 * _GROUP - 1) + 1:0{_GROUP}x}"
