"""Publish what the format does with each parameter of the chat dialect."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED, asking_fields
from router_service.providers.formats.openai_chat.dialect import DEFAULT, Dialect, dialect_of
from router_service.providers.wire_format import ParameterSupport

# Fields of a body that are never copied: they are for the router, or the format writes them itself.
ROUTER_ONLY = SERVED_BY_ROUTER | UNSERVED | {"model", "stream", "reasoning", "service_tier", "speed"}
# A flag of which ``response_format`` says all: nothing is lost where it cannot be sent.
SAID_BY_FORMAT = "structured_outputs"

_NATIVE = (
    "audio", "frequency_penalty", "function_call", "functions", "image_config", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "max_tool_calls", "messages", "metadata", "min_p", "modalities", "model",
    "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
    "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed", "stop", "store",
    "stream", "structured_outputs", "temperature", "tool_choice", "tools", "top_a", "top_k", "top_logprobs", "top_p",
    "user", "verbosity", "web_search_options", "x_search_filter",
)  # fmt: skip


def _table(dialect: Dialect, *, sells_tiers: bool) -> Mapping[str, ParameterSupport]:
    native, emulated, dropped = ParameterSupport.NATIVE, ParameterSupport.EMULATED, ParameterSupport.DROPPED
    limited = native if dialect.reasoning_request == "object" else dropped
    effort = {
        "effort": {"reasoning": emulated, "reasoning_effort": native},
        "object": {"reasoning": native, "reasoning_effort": emulated},
        "none": {"reasoning": dropped, "reasoning_effort": dropped},
    }
    return MappingProxyType(
        dict.fromkeys(_NATIVE, native)
        | dict.fromkeys(SERVED_BY_ROUTER, emulated)
        | dict.fromkeys(UNSERVED, dropped)
        | dict.fromkeys(dialect.absent, dropped)
        | ({SAID_BY_FORMAT: emulated} if SAID_BY_FORMAT in dialect.absent else {})
        | effort[dialect.reasoning_request]
        | {
            "reasoning.max_tokens": limited,
            "reasoning.summary": limited,
            "cache_control": native if dialect.cache_control else dropped,
            "service_tier": native if sells_tiers else dropped,
        }
    )


_cached_table = lru_cache(maxsize=256)(_table)

SUPPORT = _table(DEFAULT, sells_tiers=True)
"""List what the format does with each parameter at a provider that has no row of its own and sells service tiers."""


@lru_cache(maxsize=512)
def left_out(provider: str) -> frozenset[str]:
    """Return the parameters that are not sent to a provider, because it or everyone lacks what they ask for."""
    return UNSERVED.union(dialect_of(provider).absent)


def reported(fields: Mapping[str, Any], names: Set[str]) -> set[str]:
    """Return those of ``names``, which are left out of a body, that the answer has to report as dropped."""
    return asking_fields(fields, names - {SAID_BY_FORMAT})


def support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at ``endpoint``.

    The provider's dialect decides how reasoning is asked for, whether marks of the prompt cache are taken and which
    parameters are absent; a tier is sent only where the provider sells several.
    """
    return _cached_table(dialect_of(endpoint.provider), sells_tiers=bool(endpoint.tier_prices))
