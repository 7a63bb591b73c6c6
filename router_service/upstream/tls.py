"""Choose the certificates of providers that are trusted, and describe failures to connect."""

from __future__ import annotations

import ssl


def client_context() -> ssl.SSLContext:
    """Trust the system's authorities, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` (OpenSSL's variables)."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def describe_connect_error(error: BaseException) -> str:
    """Return why a connection failed: for a certificate OpenSSL's own words, without the address at their end."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted: {error.verify_message.partition(',')[0].removesuffix('.')}"
    return type(error).__name__
