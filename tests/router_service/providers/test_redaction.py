"""Test that secrets are removed from what a provider sends, wherever they are in it."""

from __future__ import annotations

from router_service.core.errors import ApiError
from router_service.providers.redaction import NO_SECRETS, SecretRedactor

SECRET = "sk-abc/defghi"


def test_a_secret_is_removed_from_bytes() -> None:
    """An escaped slash does not hide it, and other content stays the same object."""
    redactor = SecretRedactor([SECRET])
    assert (
        redactor.redact_bytes(b'{"a":"sk-abc\\/defghi","b":"sk-abc/defghi"}') == b'{"a":"[redacted]","b":"[redacted]"}'
    )
    other = b'{"a":1}'
    assert redactor.redact_bytes(other) is other


def test_a_secret_is_removed_from_an_error() -> None:
    error = ApiError("server", f"bad {SECRET}", metadata={"raw": SECRET, "previous": [{"code": SECRET, "status": 1}]})
    SecretRedactor([SECRET]).redact_error(error)
    assert SECRET not in repr(error.envelope()) + str(error)
    assert error.metadata["previous"] == [{"code": "[redacted]", "status": 1}]


def test_the_longer_of_two_secrets_is_removed_whole() -> None:
    assert SecretRedactor(["sk-abcdef", "sk-abcdef-123"]).redact_bytes(b"sk-abcdef-123") == b"[redacted]"


def test_a_placeholder_is_no_secret() -> None:
    """A short key may be a word of any text."""
    assert SecretRedactor(["lab", ""]).redact_bytes(b"a lab") == b"a lab"
    assert NO_SECRETS.redact_bytes(b"a lab") == b"a lab"


def test_a_secret_in_another_spelling_is_removed() -> None:
    """Some tell the address that they were asked at, and some the header that they got."""
    for spelling in ("sk-abc%2Fdefghi", "c2stYWJjL2RlZmdoaQ=="):
        error = ApiError("server", f"no access for {spelling}.")
        SecretRedactor([SECRET]).redact_error(error)
        assert error.message == "no access for [redacted]."
    assert SecretRedactor([SECRET]).redact_bytes(b"?key=sk-abc%2Fdefghi&x") == b"?key=[redacted]&x"
