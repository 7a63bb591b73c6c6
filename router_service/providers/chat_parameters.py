"""Read the parameters of chat whatever the wire format: those for the router, and the limit of tokens.

Source: the reference's ``ChatRequest`` and its documentation of parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from router_service.core.generation import GenerationRequest

# The router itself does what these ask for.
SERVED_BY_ROUTER = frozenset(
    {"include_reasoning", "models", "provider", "route", "session_id", "stream_options", "trace", "usage"}
)
# These ask the reference for services that this router does not have. No provider has them either.
UNSERVED = frozenset({"debug", "plugins", "preset", "stop_server_tools_when", "transforms"})
_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "seed", "stop", "logit_bias", "logprobs", "top_logprobs",
)  # fmt: skip
_FIELDS = (
    "tools", "tool_choice", "reasoning", "max_tokens", "user", "metadata", "service_tier", "modalities", "verbosity",
)  # fmt: skip
_NEUTRAL = frozenset({b"null", b"false", b"[]", b"{}", b'""'})


def asking_fields(fields: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Return those of ``names`` whose value in ``fields`` asks for something: it is not null, false or empty.

    Values are JSON, raw or decoded.
    """
    return {name for name in names if name in fields and _encoded(fields[name]) not in _NEUTRAL}


def asked_parameters(request: GenerationRequest) -> set[str]:
    """Return the parameters of chat that ``request`` asks for, beside its messages and those that the router serves.

    What a small format does not send of them, it reports as dropped.
    """
    sampling = request.sampling
    found = {name for name in _SAMPLING if getattr(sampling, name) not in (None, [], False)}
    found |= {"n"} if sampling.n != 1 else set()
    found |= {name for name in _FIELDS if getattr(request, name)}
    found |= {"cache_control"} if request.cache is not None else set()
    found |= {"response_format"} if request.output.kind != "text" else set()
    for fields in request.extras.values():
        found |= asking_fields(fields, set(fields) - SERVED_BY_ROUTER)
    return found


def limited_tokens(name: str, value: int | msgspec.Raw, most: int | None, dropped: set[str]) -> Any:
    """Return ``max_tokens``, at most the number that the endpoint can write; a smaller one is reported as ``name``."""
    if most is None:
        return value
    try:
        asked = int(bytes(value)) if isinstance(value, msgspec.Raw) else value
    except ValueError:
        return value
    if asked <= most:
        return value
    dropped.add(name)
    return most


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value).translate(None, b" \t\r\n")
