"""Read how a provider of the messages format differs from the defaults."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec

from data.catalogue.types import Endpoint
from router_service.providers.formats.anthropic_messages.names import DIALECT


class MessagesDialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say what a provider makes. ``reasoning_format`` is the reference's name of the kind of token that it signs with.

    An imitator has none: what it has signed is valid at that provider alone, so its parts have to name their origin.
    ``body_version`` is the version of the API for a provider that reads it from the body, and the model from the
    address: there ``rawPredict`` follows it, or ``invoke`` where ``invoked`` is true, as at Amazon Bedrock. That reads
    betas from the body too, and from the address whether an answer is streamed.
    """

    reasoning_format: str | None = None
    body_version: str | None = None
    invoked: bool = False


DEFAULT_DIALECT = MessagesDialect()


def messages_dialect_of(name: str) -> MessagesDialect:
    """Return the dialect of this name: ``Endpoint.dialect``, or else the slug of the provider."""
    return _dialect_rows().get(name, DEFAULT_DIALECT)


def messages_dialect_at(endpoint: Endpoint) -> MessagesDialect:
    """Return the dialect of ``endpoint``."""
    return messages_dialect_of(endpoint.dialect or endpoint.provider)


def reasoning_format_at(origin: str) -> str | None:
    """Return the kind of token that ``origin``, the origin of a part of this format, signs with."""
    dialect, _, provider = origin.partition("/")
    return messages_dialect_of(provider).reasoning_format if dialect == DIALECT else None


@cache
def _dialect_rows() -> dict[str, MessagesDialect]:
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text).get(DIALECT, {}), dict[str, MessagesDialect])
