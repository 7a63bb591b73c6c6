"""Translate the body of an embeddings request to the canonical one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from router_service.api.skins.chat_content import plain_parts
from router_service.api.skins.field_errors import bad_field, decode_field, read_field
from router_service.api.skins.task_body import extras_of, read_user
from router_service.core.embeddings import EmbeddingInput, EmbeddingsRequest
from router_service.core.parts import Media, Text
from router_service.core.wire.chat import AnyContentPart

# OpenAI's limit. Source: OpenAI API reference, "Create embeddings", input (2026-11).
MAX_INPUTS = 2048
MAX_PARTS = 64
# No model returns longer vectors.
MAX_DIMENSIONS = 65_536
_EXPECTED = "a string, an array of strings, of tokens or of arrays of tokens, or an array of {'content': […]}"
_KINDS = "all texts, all arrays of tokens, or all {'content': […]}"
Token = Annotated[int, Meta(ge=0, lt=2**31)]


class _ContentInput(msgspec.Struct):
    content: list[AnyContentPart]


_INPUT = msgspec.json.Decoder(str | list[str | Token | list[Token] | _ContentInput])
_TEXT = msgspec.json.Decoder(Annotated[str, Meta(max_length=1024)] | None)
_ENCODING = msgspec.json.Decoder(Literal["float", "base64"] | None)
_DIMENSIONS = msgspec.json.Decoder(Annotated[int, Meta(ge=1, le=MAX_DIMENSIONS)] | None)
_READ = frozenset({"dimensions", "encoding_format", "input", "input_type", "user"})


class ClientEmbeddingsRequest(EmbeddingsRequest, frozen=True, kw_only=True):
    """Add what only the client's answer depends on: whether vectors are sent as ``base64``."""

    base64: bool = False


def parse_embeddings(fields: Mapping[str, Raw]) -> ClientEmbeddingsRequest:
    """Translate the top-level ``fields`` of a body. Raises ``ApiError`` 400 naming what to change."""
    encoding = read_field(fields, "encoding_format", _ENCODING, "'float' or 'base64'")
    return ClientEmbeddingsRequest(
        inputs=_inputs(fields),
        dimensions=read_field(fields, "dimensions", _DIMENSIONS, f"a whole number from 1 to {MAX_DIMENSIONS:,}"),
        input_type=read_field(fields, "input_type", _TEXT, "a string such as 'search_query'"),
        user=read_user(fields),
        extras=extras_of(fields, _READ),
        base64=encoding == "base64",
    )


def longest_input(inputs: Sequence[EmbeddingInput]) -> int:
    """Return the bytes of the longest input, where a token is four, and media, whose tokens are not known, are none."""
    return max(map(_size, inputs))


def _size(one: EmbeddingInput) -> int:
    if isinstance(one, str):
        return len(one.encode())
    return sum(4 if isinstance(part, int) else len(part.text.encode()) for part in one if not isinstance(part, Media))


def _inputs(fields: Mapping[str, Raw]) -> list[EmbeddingInput]:
    if "input" not in fields:
        raise bad_field("input", f"is missing; send {_EXPECTED}")
    found = decode_field(fields["input"], _INPUT, "input", _EXPECTED)
    if isinstance(found, str):
        found = [found]
    if not found:
        raise bad_field("input", "is an empty array; send at least one input")
    kinds = {type(one) for one in found}
    if len(kinds) > 1:
        raise bad_field("input", f"mixes kinds of inputs; send {_KINDS}")
    if isinstance(found[0], int):
        return [[one for one in found if isinstance(one, int)]]
    if len(found) > MAX_INPUTS:
        raise bad_field("input", f"has {len(found):,} inputs; send at most {MAX_INPUTS:,} in one request")
    several = kinds != {str} or len(found) > 1
    return [_input(one, f"input[{place}]" if several else "input") for place, one in enumerate(found)]


def _input(one: str | int | list[int] | _ContentInput, where: str) -> EmbeddingInput:
    if isinstance(one, str):
        if not one:
            raise bad_field(where, "is an empty string; send text, or leave the input out")
        return one
    if isinstance(one, _ContentInput):
        return _parts(one, f"{where}.content")
    assert not isinstance(one, int)
    if not one:
        raise bad_field(where, "is an empty array of tokens; send tokens, or leave the input out")
    return one


def _parts(one: _ContentInput, where: str) -> list[Text | Media]:
    if not 0 < len(one.content) <= MAX_PARTS:
        raise bad_field(where, f"has {len(one.content)} parts; send from 1 to {MAX_PARTS}")
    parts = plain_parts(one.content, where)
    for place, part in enumerate(parts):
        if isinstance(part, Text) and not part.text:
            raise bad_field(f"{where}[{place}].text", "is an empty string; send text, or leave the part out")
    return parts
