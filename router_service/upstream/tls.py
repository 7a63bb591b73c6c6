"""Which certificates of providers are trusted, and what is said of one that is not."""

from __future__ import annotations

import ssl


def client_context() -> ssl.SSLContext:
    """Trusts the system's authorities, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` (OpenSSL's variables)."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def failure(error: Exception) -> str:
    """Why no connection came about: for a certificate OpenSSL's own words, without the address it may end with."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted: {error.verify_message.partition(',')[0].removesuffix('.')}"
    return type(error).__name__
