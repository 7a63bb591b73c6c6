"""Estimate the input tokens of a request by its bytes and the family of its model."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources

import msgspec

from router_service.core.generation import GenerationRequest
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult

# Tells a client that the count is an estimate, which may be off by a third for prose and by more for other text.
ESTIMATE_HEADERS = [(b"x-token-count", b"estimate")]


class TokenRatios(msgspec.Struct, frozen=True):
    """Hold the costs of one family of models in tokens; ``page_bytes`` are bytes of a PDF file for one page."""

    bytes_per_token: float
    message_tokens: int
    tools_tokens: int
    image_tokens: int
    page_tokens: int
    page_bytes: int


def estimate_input_tokens(request: GenerationRequest, model: str) -> int:
    """Return the estimated tokens of ``request`` for the canonical id ``model``.

    Text is divided by the family's bytes per token; images and pages of documents have fixed costs. Reasoning of
    earlier turns counts, though some providers drop it.
    """
    ratios = ratios_of(model)
    messages = [*request.instructions, *request.messages]
    parts = [part for message in messages for part in message.parts]
    text = sum(_text_bytes(part) for part in parts)
    for tool in request.tools:
        described = len(tool.name) + len((tool.description or "").encode()) + len(bytes(tool.schema or b""))
        text += len(bytes(tool.raw)) if tool.kind == "hosted" and tool.raw is not None else described
    text += len(bytes(request.output.schema or b""))
    fixed = ratios.message_tokens * (len(messages) + 1) + (ratios.tools_tokens if request.tools else 0)
    return math.ceil(text / ratios.bytes_per_token) + fixed + _media_tokens(parts, ratios)


@cache
def _families() -> dict[str, TokenRatios]:
    text = resources.files("router_service.api.skins.messages").joinpath("token_ratios.toml").read_text()
    found = tomllib.loads(text)
    default = found.pop("default")
    families = {name: msgspec.convert(default | family, TokenRatios) for name, family in found.items()}
    return {"": msgspec.convert(default, TokenRatios)} | families


def ratios_of(model: str) -> TokenRatios:
    """Return the ratios of the longest prefix of ``model`` that the table has."""
    families = _families()
    return families[max((prefix for prefix in families if model.startswith(prefix)), key=len)]


def _text_bytes(part: AnyPart) -> int:
    match part:
        case Text() | Reasoning() | Refusal():
            return len(part.text.encode(errors="replace"))
        case ToolCall():
            return len(part.name) + len(part.arguments.encode(errors="replace"))
        case ToolResult():
            return sum(map(_text_bytes, part.content))
        case Opaque():
            return len((part.text or "").encode(errors="replace"))
        case Media():
            return len((part.transcript or "").encode(errors="replace"))


def _media_tokens(parts: Iterable[AnyPart], ratios: TokenRatios) -> int:
    tokens = 0
    for part in parts:
        if isinstance(part, ToolResult):
            tokens += _media_tokens(part.content, ratios)
        elif isinstance(part, Media) and part.kind == "image":
            tokens += ratios.image_tokens
        elif isinstance(part, Media):
            # Base64 has four characters for three bytes.
            pages = math.ceil(len(part.data or "") * 3 / 4 / ratios.page_bytes)
            tokens += ratios.page_tokens * max(1, pages)
    return tokens
