"""Read the parameters of sampling, which several APIs name alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from router_service.api.skins.field_errors import decode_field
from router_service.core.generation import Sampling
from router_service.core.wire.chat import Bias, Count, Penalty, Share, Whole, ZeroToTwo

SAMPLING: dict[str, tuple[msgspec.json.Decoder[Any], str]] = {
    "temperature": (msgspec.json.Decoder(ZeroToTwo | None), "a number from 0 to 2"),
    "top_p": (msgspec.json.Decoder(Share | None), "a number from 0 to 1"),
    "top_k": (msgspec.json.Decoder(Count | None), "a whole number of at least 0"),
    "min_p": (msgspec.json.Decoder(Share | None), "a number from 0 to 1"),
    "top_a": (msgspec.json.Decoder(Share | None), "a number from 0 to 1"),
    "frequency_penalty": (msgspec.json.Decoder(Penalty | None), "a number from -2 to 2"),
    "presence_penalty": (msgspec.json.Decoder(Penalty | None), "a number from -2 to 2"),
    "repetition_penalty": (msgspec.json.Decoder(ZeroToTwo | None), "a number from 0 to 2"),
    "seed": (msgspec.json.Decoder(Whole | None), "a whole number of at most 64 bits"),
    "stop": (msgspec.json.Decoder(str | list[str] | None), "a string or an array of strings"),
    "logit_bias": (
        msgspec.json.Decoder(dict[str, Bias] | None),
        "an object of numbers from -100 to 100 by token id",
    ),
    "logprobs": (msgspec.json.Decoder(bool | None), "true or false"),
    "top_logprobs": (msgspec.json.Decoder(Annotated[int, Meta(ge=0, le=20)] | None), "a whole number from 0 to 20"),
    "n": (msgspec.json.Decoder(Annotated[int, Meta(ge=1, le=128)] | None), "a whole number from 1 to 128"),
}


def read_sampling(fields: Mapping[str, Raw], names: Iterable[str] = SAMPLING) -> Sampling:
    """Return those of the parameters ``names`` that ``fields`` have.

    Raises ``ApiError`` 400 naming the field that is malformed, and what to send.
    """
    found: dict[str, Any] = {}
    for name in names:
        if name in fields:
            decoder, expected = SAMPLING[name]
            value = decode_field(bytes(fields[name]), decoder, name, expected)
            if value is not None:
                found[name] = [value] if name == "stop" and isinstance(value, str) else value
    return Sampling(**found)
