"""Read the top-level fields of a JSON body as raw JSON, with bounds that protect every later reader."""

from __future__ import annotations

import codecs

import msgspec

from router_service.core.errors import ApiError
from router_service.core.json_structure import check_structure
from router_service.core.request_bounds import MAX_FIELD_BYTES, MAX_FIELDS, check_fields

DECODED_BYTES = 1024 * 1024
BYTE_ORDER_MARK = codecs.BOM_UTF8
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the fields of ``body`` in the client's order. Raises ``ApiError`` 400 with what is wrong.

    A byte order mark is ignored, as RFC 8259, section 8.1 allows: some editors and libraries write one.
    """
    if not body.isascii():
        body = body.removeprefix(BYTE_ORDER_MARK)
        check_encoding("The request body", body)
    values = check_structure("The request body", body)
    try:
        fields = _decoder.decode(body)
    except msgspec.ValidationError:
        raise ApiError("invalid_request", "The request body must be a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError("invalid_request", f"The request body is not valid JSON: {error}") from None
    if len(body) > MAX_FIELD_BYTES or len(fields) > MAX_FIELDS:
        check_fields(fields, values)
    return fields


def check_encoding(name: str, raw: bytes) -> None:
    """Raise ``ApiError`` 400 if ``raw`` is not UTF-8."""
    if raw.isascii():
        return
    at = 0
    try:
        # In pieces, since each call holds the interpreter's lock. ``at`` is where the next one begins.
        while len(raw) - at > DECODED_BYTES:
            at += codecs.utf_8_decode(memoryview(raw)[at : at + DECODED_BYTES], "strict", False)[1]
        codecs.utf_8_decode(memoryview(raw)[at:], "strict", True)
    except UnicodeDecodeError as error:
        place = at + error.start
        raise ApiError("invalid_request", f"{name} is not valid UTF-8 at byte {place}; send UTF-8 text") from None
