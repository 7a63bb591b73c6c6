"""Certificates of a run's own authority: good ones and expired ones."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

HOST = "127.0.0.1"


class Authority:
    """Certificate authority for servers on loopback; clients trust it by ``bundle``, a PEM file in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.bundle = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.bundle))

    def good(self) -> ssl.SSLContext:
        return _served(self._authority.issue_cert(HOST))

    def expired(self) -> ssl.SSLContext:
        """Since yesterday."""
        now = datetime.now(UTC)
        ends = now - timedelta(days=1)
        return _served(self._authority.issue_cert(HOST, not_before=ends - timedelta(days=90), not_after=ends))


def nobody_knows() -> ssl.SSLContext:
    """A good certificate of an authority that is in no bundle."""
    return _served(trustme.CA().issue_cert(HOST))


def _served(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
