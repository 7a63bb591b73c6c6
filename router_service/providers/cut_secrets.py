"""Remove secrets from a text that arrives in pieces, wherever it is cut.

The last characters of a piece are held back only where they are the beginning of a secret: until the next piece, or the
end of the text, decides. So at most ``MARK - 1`` characters of a secret pass.
"""

from __future__ import annotations

from router_service.providers.redaction import MARK, REDACTED, SecretRedactor


class TextRedactor:
    """Redact one text. ``told`` is its end, as far as it may belong to a secret, of which ``held`` was not passed on.

    A piece may pass without ``feed`` where ``told`` and it together contain no mark. Their last ``MARK - 1`` characters
    are ``told`` then.
    """

    __slots__ = ("_secrets", "held", "told")

    def __init__(self, secrets: SecretRedactor) -> None:
        self._secrets = secrets
        self.told = ""
        self.held = ""

    def feed(self, piece: str) -> str:
        """Return what to pass on now."""
        text = self.told + piece
        done = len(self.told) - len(self.held)
        for secret in self._secrets.written:
            if (place := text.find(secret)) >= 0:
                if place < done:
                    text = text[:done] + REDACTED + text[place + len(secret) :]
                text = text.replace(secret, REDACTED)
        start = self._beginning(text)
        self.held = text[max(start, done) :]
        self.told = text[start:] or text[1 - MARK :]
        return text[done:start]

    def end(self) -> str:
        """Return what was held back, now that the text is over. Another text may go on with a secret all the same."""
        rest, self.held = self.held, ""
        return REDACTED if rest and self._secrets.tells(self.told) else rest

    def _beginning(self, text: str) -> int:
        """Return where a secret begins that ``text`` does not end; the end of ``text`` for none."""
        place = max(0, len(text) - self._secrets.longest + 1)
        while marked := [at for mark in self._secrets.marks if (at := text.find(mark, place)) >= 0]:
            start = min(marked)
            rest = text[start:]
            if any(secret.startswith(rest) for secret in self._secrets.written):
                return start
            place = start + 1
        return len(text)
