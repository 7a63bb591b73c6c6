"""Read how a provider's chat completions differ from the defaults."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.generation import ReasoningEffort

NAME = "openai_chat"
ToolChoiceMode = Literal["auto", "none", "required", "tool"]


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bound a parameter: ``least`` and ``most`` of a number, or the number of ``items`` of a list."""

    least: int | float | None = None
    most: int | float | None = None
    items: int | None = None

    def excludes(self, value: Any) -> bool:
        """Return whether ``value`` is beyond the bounds."""
        if value.__class__ is float or value.__class__ is int:
            return (self.least is not None and value < self.least) or (self.most is not None and value > self.most)
        return value.__class__ is list and self.items is not None and len(value) > self.items

    def fitted(self, value: Any) -> Any:
        """Return ``value``, or the nearest one within the bounds; a value of another type is left as it is."""
        if not self.excludes(value):
            return value
        if isinstance(value, list):
            return value[: self.items]
        return self.least if self.least is not None and value < self.least else self.most


class ModelRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Say how models whose lower-case name ``match`` is found in (a regular expression) differ from their row.

    ``absent`` are absent besides those of the row, and each of ``changed`` replaces a field of the row.
    """

    match: str
    absent: tuple[str, ...] = ()
    changed: dict[str, Any] = {}


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Say what a provider takes. The defaults are what compatible servers have in common.

    Parameters: ``max_tokens`` is the provider's name of the limit, ``renamed`` has its names of others. ``absent`` are
    parameters that it does not have: they are left out and reported. ``limits`` bound the others: a value beyond is
    replaced by the nearest one and reported. ``refused`` has a sentence for each parameter without which the answer
    would be of no use. ``stream_options`` and ``functions`` (the legacy ones) are false where these are unknown,
    ``schemas`` is false where output follows no JSON schema, ``json_object`` where it cannot be any JSON object; what
    is missing is asked for in words, and the answer is healed. ``schema_absent`` are keywords that are left out of
    schemas of the output and reported; ``schema_type_lists`` is false where ``type`` names one type alone: several are
    then written as ``anyOf``. ``schema_closed`` is true where every object has to forbid further members.

    Tools: ``tools`` is false where a model calls none, and earlier calls are told as text. ``tool_choices`` are the
    modes that can be asked for. ``tool_call_ids`` are short where they may have at most 40 characters.
    ``valid_arguments`` is false where the arguments of earlier calls may be any text; elsewhere they are decoded.
    ``tool_parameters`` is true where a function without parameters needs a schema that has none.

    Reasoning: ``reasoning_request`` is the form in which it is asked for: ``effort`` is ``reasoning_effort``,
    ``object`` the reference's ``reasoning``, ``switch`` its ``enabled`` alone, ``thinking`` an object with a type
    (``thinking_on``, or disabled), ``enable_thinking`` a flag, with ``thinking_budget`` in tokens where there is one,
    ``template`` that flag among ``chat_template_kwargs``. ``efforts`` are the efforts that are known (none: any for
    ``effort`` and ``object``, and no effort can be said in the other forms). ``forcing_stops_thinking`` is true where a
    call cannot be forced from a model that thinks, ``thinks_only_streamed`` where it cannot think without a stream.
    ``reasoning_field`` is the field of an assistant turn that takes readable reasoning, or ``tags`` for content within
    ``<think>``; where turns need it in a conversation with tool calls, ``absent_reasoning`` is what stands for it.
    ``reasoning_details`` says whether signed and encrypted reasoning may be sent. ``think_tags`` is true where answers
    begin with reasoning within ``<think>``, ``lists_sources`` where they may list sources beside the choices.
    ``reasoning_in_total`` is true where the total of tokens counts reasoning that no other count has.

    Messages: ``text_parts`` is false where content of texts alone has to be one text, ``null_content`` where calls
    without a text need an empty one. ``cache_control`` marks parts, ``breakpoints`` does so at OpenAI, except for those
    of an assistant, ``refusal_field`` takes an earlier refusal, which is text elsewhere. ``audio_history`` refers to an
    earlier audio answer by its id. ``inline_files`` is true where a file has to be sent as base64 with a name,
    ``inline_images`` where an image has to be base64. ``alternating`` turns are those of the user and the assistant in
    turn after one system turn, and the user's is the last; ``one_system`` is that first rule alone.
    ``mistral_order`` is that of mistral-common. ``models`` are the rules of single models.

    Other tasks: ``base64_embeddings`` is true where vectors can be asked for as base64. ``image_sizes`` are the sizes
    of images; none where a ratio and a resolution are asked for. ``image_absent`` are fields that are left out and
    reported, ``image_response_format`` is false where base64 is the only form.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    renamed: dict[str, str] = {}
    absent: tuple[str, ...] = ()
    limits: dict[str, Limit] = {}
    refused: dict[str, str] = {}
    stream_options: bool = True
    functions: bool = True
    schemas: bool = True
    json_object: bool = True
    schema_absent: tuple[str, ...] = ()
    schema_type_lists: bool = True
    schema_closed: bool = False
    tools: bool = True
    tool_choices: tuple[ToolChoiceMode, ...] = ("auto", "none", "required", "tool")
    tool_call_ids: Literal["any", "short", "nine_alphanumeric"] = "any"
    valid_arguments: bool = True
    tool_parameters: bool = False
    reasoning_request: Literal["effort", "object", "switch", "thinking", "enable_thinking", "template", "none"] = (
        "effort"
    )
    thinking_on: str = "enabled"
    thinking_budget: bool = False
    efforts: tuple[ReasoningEffort, ...] = ()
    forcing_stops_thinking: bool = False
    thinks_only_streamed: bool = False
    reasoning_field: Literal["reasoning", "reasoning_content", "tags"] | None = None
    absent_reasoning: str | None = None
    reasoning_details: bool = False
    think_tags: bool = False
    lists_sources: bool = False
    text_parts: bool = True
    null_content: bool = True
    cache_control: bool = False
    breakpoints: bool = False
    developer_role: bool = False
    refusal_field: bool = False
    audio_history: bool = False
    inline_files: bool = False
    inline_images: bool = False
    message_names: bool = True
    reasoning_in_total: bool = False
    one_system: bool = False
    alternating: bool = False
    mistral_order: bool = False
    base64_embeddings: bool = False
    image_sizes: tuple[str, ...] = ()
    image_absent: tuple[str, ...] = ()
    image_response_format: bool = True
    models: tuple[ModelRules, ...] = ()

    @property
    def rebuilds_turns(self) -> bool:
        """Return whether even messages without any foreign field may have to change."""
        return self.one_system or self.alternating or self.mistral_order


DEFAULT = Dialect()


def dialect_of(name: str, upstream_model: str = "") -> Dialect:
    """Return the dialect with this name, the slug of a provider or the name of a server, for one of its models."""
    row = _rows().get(name, DEFAULT)
    return _for_model(name, upstream_model) if row.models else row


def dialect_at(endpoint: Endpoint) -> Dialect:
    """Return the dialect of an endpoint: the one that its provider's configuration names, else the provider's own."""
    return dialect_of(endpoint.dialect or endpoint.provider, endpoint.upstream_model)


def origin_of(provider: str, upstream_model: str) -> str:
    """Return the origin of signed parts: only the same model of the same provider can read them."""
    return f"{NAME}/{provider}/{upstream_model}"


@lru_cache(maxsize=8192)
def _for_model(name: str, upstream_model: str) -> Dialect:
    model = upstream_model.lower()
    found = tuple(at for at, rules in enumerate(_rows()[name].models) if re.search(rules.match, model))
    return _changed(name, found)


@cache
def _changed(name: str, chosen: tuple[int, ...]) -> Dialect:
    row = _rows()[name]
    fields = msgspec.to_builtins(row)
    for rules in (row.models[at] for at in chosen):
        fields |= rules.changed
        fields["absent"] = [*fields["absent"], *rules.absent]
    return msgspec.convert(fields, Dialect)


@cache
def _rows() -> dict[str, Dialect]:
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text).get(NAME, {})
    for row in rows.values():
        if "like" in row:
            row.update(rows[row.pop("like")])
    return msgspec.convert(rows, dict[str, Dialect])
