"""Read how a provider's chat completions differ from the defaults."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

NAME = "openai_chat"


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say what a provider takes. The defaults are what compatible servers have in common.

    ``max_tokens`` and ``seed`` are the provider's names of these parameters. ``tool_call_ids`` are short where they may
    have at most 40 characters. ``valid_arguments`` is true where the
    arguments of earlier tool calls must be a JSON object. ``reasoning_request`` is the form in which reasoning is asked
    for: ``reasoning_effort``, the reference's ``reasoning`` object, or none. ``reasoning_field`` is the field of an
    assistant turn that takes readable reasoning, and ``reasoning_details`` says whether signed and encrypted reasoning
    may be sent. ``cache_control`` marks parts, ``refusal_field`` takes an earlier refusal, which is text elsewhere.
    ``audio_history`` refers to an earlier audio answer by its id. ``inline_files`` is true where a file has to be
    sent as base64 with a name, and false where its address will do. ``reasoning_in_total`` is true where the total of
    tokens counts reasoning that no other count has. ``absent`` are parameters that the provider refuses as unknown.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed: Literal["seed", "random_seed"] = "seed"
    tool_call_ids: Literal["any", "short", "nine_alphanumeric"] = "any"
    valid_arguments: bool = False
    reasoning_request: Literal["effort", "object", "none"] = "effort"
    reasoning_field: Literal["reasoning", "reasoning_content"] | None = None
    reasoning_details: bool = False
    cache_control: bool = False
    developer_role: bool = False
    refusal_field: bool = False
    audio_history: bool = False
    inline_files: bool = False
    message_names: bool = True
    reasoning_in_total: bool = False
    absent: tuple[str, ...] = ()


DEFAULT = Dialect()


def dialect_of(provider: str) -> Dialect:
    """Return the dialect of the provider with this slug."""
    return _rows().get(provider, DEFAULT)


def origin_of(provider: str, upstream_model: str) -> str:
    """Return the origin of signed parts: only the same model of the same provider can read them."""
    return f"{NAME}/{provider}/{upstream_model}"


@cache
def _rows() -> dict[str, Dialect]:
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text).get(NAME, {}), dict[str, Dialect])
