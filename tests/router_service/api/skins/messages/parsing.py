"""Parse Python values as the bodies of requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.api.skins.messages.parse import parse_generation
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest
from router_service.core.parts import AnyPart

USER = [{"role": "user", "content": "hello"}]


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def parsed(messages: Any = USER, **fields: Any) -> GenerationRequest:
    body = {"model": "any/model", "max_tokens": 64, "messages": messages, **fields}
    return parse_generation({name: raw(value) for name, value in body.items()})


def block(found: dict[str, Any], role: str = "user") -> AnyPart:
    (message,) = parsed([{"role": role, "content": [found]}]).messages
    (part,) = message.parts
    return part


def refused(messages: Any = USER, **fields: Any) -> str:
    with pytest.raises(ApiError) as raised:
        parsed(messages, **fields)
    assert raised.value.code == 400
    return raised.value.message
