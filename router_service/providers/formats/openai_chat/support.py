"""Publish what the format does with each parameter of the chat dialect."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.formats.openai_chat.dialect import DEFAULT, Dialect, dialect_at
from router_service.providers.formats.openai_chat.parameters import SAID_BY_FORMAT
from router_service.providers.wire_format import ParameterSupport

# Fields of a body that are never copied: they are for the router, or the format writes them itself.
ROUTER_ONLY = SERVED_BY_ROUTER | UNSERVED | {"model", "stream", "reasoning", "service_tier", "speed"}
TOOL_FIELDS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"})
_FORCING = ("tool_choice", "function_call")

_NATIVE = (
    "audio", "frequency_penalty", "function_call", "functions", "image_config", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "max_tool_calls", "messages", "metadata", "min_p", "modalities", "model",
    "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "repetition_penalty", "response_format", "safety_identifier", "seed", "stop", "store",
    "stream", "structured_outputs", "temperature", "tool_choice", "tools", "top_a", "top_k", "top_logprobs", "top_p",
    "user", "verbosity", "web_search_options", "x_search_filter",
)  # fmt: skip


def _table(dialect: Dialect, *, sells_tiers: bool) -> Mapping[str, ParameterSupport]:
    native, emulated, dropped = ParameterSupport.NATIVE, ParameterSupport.EMULATED, ParameterSupport.DROPPED
    refused = ParameterSupport.REFUSED
    return MappingProxyType(
        dict.fromkeys(_NATIVE, native)
        | dict.fromkeys(SERVED_BY_ROUTER, emulated)
        | dict.fromkeys(UNSERVED, dropped)
        | ({} if dialect.functions else {"functions": emulated, "function_call": emulated})
        | ({} if dialect.schemas and dialect.json_object else {"response_format": emulated, SAID_BY_FORMAT: emulated})
        | _tool_choice(dialect)
        | dict.fromkeys(dialect.absent, dropped)
        | ({SAID_BY_FORMAT: emulated} if SAID_BY_FORMAT in dialect.absent else {})
        | ({} if dialect.tools else dict.fromkeys(TOOL_FIELDS, dropped) | dict.fromkeys(_FORCING, refused))
        | dict.fromkeys(dialect.refused, refused)
        | _reasoning(dialect)
        | {
            "cache_control": native if dialect.cache_control else dropped,
            "service_tier": native if sells_tiers else dropped,
        }
    )


def _tool_choice(dialect: Dialect) -> dict[str, ParameterSupport]:
    """Return what becomes of the choice of one tool, which may be offered alone and then forced."""
    if "tool" in dialect.tool_choices:
        return {}
    can_force = "required" in dialect.tool_choices
    return dict.fromkeys(_FORCING, ParameterSupport.EMULATED if can_force else ParameterSupport.DROPPED)


def _reasoning(dialect: Dialect) -> dict[str, ParameterSupport]:
    native, emulated, dropped = ParameterSupport.NATIVE, ParameterSupport.EMULATED, ParameterSupport.DROPPED
    form = dialect.reasoning_request
    as_object = form == "object"
    can_stop = form not in ("effort", "none") or (
        form == "effort" and (not dialect.efforts or "none" in dialect.efforts)
    )
    asked = dropped if form == "none" else emulated
    return {
        "reasoning": native if as_object else asked,
        "reasoning_effort": native if form == "effort" else asked,
        "reasoning.enabled": native if as_object else emulated if can_stop else dropped,
        "reasoning.exclude": emulated,
        "reasoning.max_tokens": native if as_object else emulated if dialect.thinking_budget else dropped,
        "reasoning.summary": native if as_object else dropped,
    }


_cached_table = lru_cache(maxsize=512)(_table)

SUPPORT = _table(DEFAULT, sells_tiers=True)
"""List what the format does with each parameter at a provider that has no row of its own and sells service tiers."""


@lru_cache(maxsize=512)
def left_out(dialect: Dialect) -> frozenset[str]:
    """Return the parameters that are not sent in a dialect, because it or everyone lacks what they ask for."""
    return UNSERVED.union(dialect.absent)


def support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at ``endpoint``.

    The dialect decides how reasoning and tools are asked for, whether marks of the prompt cache are taken and which
    parameters are absent; a tier is sent only where the provider sells several.
    """
    return _cached_table(dialect_at(endpoint), sells_tiers=bool(endpoint.tier_prices))
