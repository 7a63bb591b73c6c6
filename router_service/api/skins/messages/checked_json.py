"""Decode parts of a client's body and name the field that is wrong."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from router_service.core.errors import ApiError

T = TypeVar("T")
_ERROR = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*?)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_any = msgspec.json.Decoder()


def decode_at(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], path: str) -> T:
    """Decode ``raw``. Raises ``ApiError`` 400 that names the field below ``path``, such as ``messages.3.content``."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _described(str(error), path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(path, f"it is not valid JSON in UTF-8: {error}") from None
    except RecursionError:
        raise invalid(path, "it is nested too deeply; send fewer levels") from None


def checked(raw: msgspec.Raw, path: str) -> Any:
    """Return the value of ``raw``. Raises ``ApiError`` 400 if it cannot be read to its end."""
    return decode_at(raw, _any, path)


def invalid(path: str, sentence: str) -> ApiError:
    """Return the error for the field at ``path``."""
    return ApiError("invalid_request", f"{path}: {sentence}")


def _described(message: str, path: str) -> ApiError:
    found = _ERROR.match(message)
    assert found is not None
    inner = re.sub(r"\[(\d+)\]", r".\1", found[2] or "").replace("[...]", "")
    missing = _MISSING.fullmatch(found[1])
    if missing:
        return invalid(f"{path}{inner}.{missing[1]}", "the field is required")
    sentence = found[1][:1].lower() + found[1][1:]
    return invalid(path + inner, sentence)
