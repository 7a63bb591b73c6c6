"""Read how a provider's Responses API differs from the defaults."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.generation import ReasoningEffort
from router_service.providers.formats.openai_responses.names import DIALECT


class ResponsesRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how models whose lower-case name ``match`` is found in (a regular expression) differ from their row.

    ``absent`` are absent besides those of the row, and each of ``changed`` replaces a field of the row.
    """

    match: str
    absent: tuple[str, ...] = ()
    changed: dict[str, Any] = {}


class ResponsesDialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Say what a provider takes. The defaults are what servers of the format have in common.

    ``reasoning_format`` is the reference's name of the kind of token that the provider encrypts reasoning with; a
    server without one reads its own alone, so its parts have to name their origin. ``reasons`` is false for models that
    refuse to be asked for encrypted reasoning and to get any. ``takes_effort`` is false where no effort can be said,
    ``efforts`` are those that are known (none: any). ``absent`` are parameters that the provider does not have.
    ``custom_tools`` is false where these have to be sent as functions. ``padding`` is true where the events of a stream
    are padded unless the request says no, ``most_logprobs`` bounds the alternatives to a token. ``breakpoints`` is true
    for models that take cache marks on what is put in. ``models`` are the rules of single models.
    """

    reasoning_format: str | None = None
    reasons: bool = True
    takes_effort: bool = True
    efforts: tuple[ReasoningEffort, ...] = ()
    absent: tuple[str, ...] = ()
    custom_tools: bool = True
    padding: bool = False
    most_logprobs: int = 20
    breakpoints: bool = False
    models: tuple[ResponsesRules, ...] = ()


_DEFAULT = ResponsesDialect()


def responses_dialect_at(endpoint: Endpoint) -> ResponsesDialect:
    """Return the dialect of an endpoint: the one that its provider's configuration names, else the provider's own."""
    return responses_dialect_of(endpoint.dialect or endpoint.provider, endpoint.upstream_model)


@lru_cache(maxsize=4096)
def responses_dialect_of(name: str, upstream_model: str) -> ResponsesDialect:
    """Return the dialect with this name, the slug of a provider, for one of its models."""
    row = _responses_rows().get(name, _DEFAULT)
    model = upstream_model.lower()
    return _with_rules(name, tuple(at for at, rules in enumerate(row.models) if re.search(rules.match, model)))


@cache
def _with_rules(name: str, chosen: tuple[int, ...]) -> ResponsesDialect:
    row = _responses_rows().get(name, _DEFAULT)
    if not chosen:
        return row
    fields: dict[str, Any] = msgspec.to_builtins(row)
    for rules in (row.models[at] for at in chosen):
        fields |= rules.changed
        fields["absent"] = [*fields["absent"], *rules.absent]
    return msgspec.convert(fields, ResponsesDialect)


def token_format_at(origin: str) -> str | None:
    """Return the kind of token with which ``origin``, the origin of a part of this format, encrypts reasoning."""
    dialect, _, provider = origin.partition("/")
    row = _responses_rows().get(provider, _DEFAULT)
    return row.reasoning_format if dialect == DIALECT else None


@cache
def _responses_rows() -> dict[str, ResponsesDialect]:
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text).get(DIALECT, {})
    for row in rows.values():
        if "like" in row:
            like = row.pop("like")
            row.update({name: value for name, value in rows[like].items() if name not in row})
    return msgspec.convert(rows, dict[str, ResponsesDialect])
