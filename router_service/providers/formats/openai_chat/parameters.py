"""Fit the parameters of a body to the names and values that a provider takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.chat_parameters import asking_fields
from router_service.providers.formats.openai_chat.dialect import Dialect, Limit

_decode = msgspec.json.Decoder().decode
# A flag of which ``response_format`` says all: nothing is lost where it cannot be sent.
SAID_BY_FORMAT = "structured_outputs"
# Values with which a parameter changes nothing, besides null and empty ones.
_NEUTRAL: dict[str, float] = {
    "temperature": 1, "top_p": 1, "n": 1, "repetition_penalty": 1, "frequency_penalty": 0, "presence_penalty": 0,
    "min_p": 0, "top_a": 0, "top_k": 0, "top_logprobs": 0,
}  # fmt: skip
# Of this flag it is true that changes nothing.
_PARALLEL = "parallel_tool_calls"


def reported(fields: Mapping[str, Any], names: Set[str]) -> set[str]:
    """Return those of ``names``, which are left out of a body, that the answer has to report as dropped."""
    asking = asking_fields(fields, names - {SAID_BY_FORMAT, _PARALLEL})
    if _PARALLEL in names and read_value(fields.get(_PARALLEL)) is False:
        asking.add(_PARALLEL)
    return {name for name in asking if name not in _NEUTRAL or read_value(fields[name]) != _NEUTRAL[name]}


def fitted_parameters(body: Mapping[str, Any], dialect: Dialect, absent: Set[str], dropped: set[str]) -> dict[str, Any]:
    """Return the decoded fields of ``body`` under the provider's names and within its limits, without the absent ones.

    Raises ``ApiError`` 400 for a parameter that the provider has to refuse.
    """
    refuse(body, dialect)
    dropped |= reported(body, absent)
    fitted: dict[str, Any] = {}
    for name, value in body.items():
        if name not in absent:
            limit = dialect.limits.get(name)
            fitted[dialect.renamed.get(name, name)] = value if limit is None else clamped(name, value, limit, dropped)
    return fitted


def clamped(name: str, value: Any, limit: Limit, dropped: set[str]) -> Any:
    """Return the value within ``limit``; another one than the client's is reported."""
    fitted = limit.fitted(value)
    if fitted != value:
        dropped.add(name)
    return fitted


def refuse(names: Iterable[str], dialect: Dialect) -> None:
    """Raise ``ApiError`` 400 if one of ``names`` asks for what the provider does not have at all."""
    if dialect.refused:
        for name in names:
            if name in dialect.refused:
                raise ApiError("invalid_request", dialect.refused[name])


def read_value(value: Any) -> Any:
    """Return the value of a field that may be JSON still; malformed JSON is returned as it is."""
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value
