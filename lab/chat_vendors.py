"""Read what vendors of chat completions refuse and how they answer, apart from OpenAI."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec


class ChatVendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how a vendor differs from OpenAI.

    Refusals: ``refuses`` are fields of OpenAI's that it does not take, ``takes`` are its own, and ``ignores`` is true
    where all others are ignored. ``models`` has the fields that models refuse besides, by a pattern of their names.
    ``turn_fields`` are further fields of an assistant turn, ``bare_turns`` is true where it has no ``refusal``,
    ``audio`` or ``annotations``, and ``names`` is false where turns have no name. ``ranges`` are the bounds of numbers,
    ``stops`` that of stop sequences. ``ids`` is the pattern of tool-call ids. The sentences ``schemas``,
    ``needs_reasoning``, ``forced_thinking``, ``inline_images``, ``alternating`` and ``one_system`` refuse a JSON
    schema, calls without reasoning, a forced call while thinking, images by address and other orders of turns.
    ``text_parts`` is the one for texts that are not one text, ``null_content`` that for none. ``blank_reasoning`` is
    false where empty reasoning is none. ``plain_models`` are the names of models that refuse reasoning in turns.
    ``mistral_models`` are those whose turns are validated by mistral-common.
    ``unknown``, ``turn`` and ``id_words`` are the sentences for fields and ids, ``status`` and ``envelope`` the shape.

    ``schema_keywords`` are keywords that a schema of the output must not have, and ``type_lists`` is false where its
    ``type`` must be one name; ``schema_words`` is the sentence for both. ``closed_schemas`` is the one for an object
    that does not forbid further members. ``tool_parameters`` is true where a function must have them.

    Answers: ``thinks`` is true where a model thinks unless told not to. ``reasoning`` is where it is told, ``usage``
    where the counts are and ``counts`` their spelling. ``finish`` has the vendor's finish reasons by OpenAI's.
    ``calls`` is the shape of the deltas of calls: in ``whole``, without an index, with empty or repeated ids.
    ``id_form`` and ``id_length`` are the form of their ids.
    """

    refuses: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    ignores: bool = False
    models: dict[str, tuple[str, ...]] = {}
    turn_fields: tuple[str, ...] = ()
    bare_turns: bool = False
    names: bool = True
    ranges: dict[str, tuple[float, float]] = {}
    stops: int = 4
    ids: str | None = None
    id_words: str = ""
    schemas: str = ""
    schema_keywords: tuple[str, ...] = ()
    type_lists: bool = True
    closed_schemas: str = ""
    tool_parameters: bool = False
    schema_words: str = "Invalid schema for response_format: {what} is not supported"
    tool_choices: tuple[str, ...] = ()
    needs_reasoning: str = ""
    forced_thinking: str = ""
    inline_images: str = ""
    alternating: str = ""
    one_system: str = ""
    text_parts: str = ""
    null_content: str = ""
    blank_reasoning: bool = True
    plain_models: str | None = None
    mistral_models: str | None = None
    unknown: str = "Unknown parameter: '{path}'."
    turn: str = ""
    status: int = 400
    envelope: Literal["openai", "mistral", "detail", "xai", "bare", "numeric", "minimax", "flat", "coded", "text"] = (
        "openai"
    )
    thinks: bool = False
    reasoning: Literal["hidden", "reasoning", "reasoning_content", "list", "tags"] = "hidden"
    usage: Literal["apart", "x_groq", "choice", "last", "every"] = "apart"
    counts: Literal["details", "top", "hits", "on_top"] = "details"
    finish: dict[str, str] = {}
    calls: Literal["pieces", "whole", "no_index", "empty_ids", "repeated"] = "pieces"
    id_form: str = ""
    id_length: int | None = None


def vendor_of(provider: str) -> ChatVendor | None:
    """Return the vendor with this slug, or ``None`` if nothing is known of it."""
    return vendors().get(provider)


@cache
def vendors() -> dict[str, ChatVendor]:
    """Return all vendors by slug."""
    text = resources.files("lab").joinpath("chat_vendors.toml").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    for row in rows.values():
        if "like" in row:
            row.update(rows[row.pop("like")])
    return msgspec.convert(rows, dict[str, ChatVendor])
