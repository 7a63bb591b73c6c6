"""Publish what the format does with each parameter of the chat dialect.

Sources: the reference's ``ChatRequest`` and ``Parameter``; OpenAI API reference: Create a response. A parameter that is
native or emulated may still be left out for one of its values; then ``Encoded.dropped`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.formats.openai_responses.dialect import ResponsesDialect, responses_dialect_at
from router_service.providers.reasoning_effort import OFF
from router_service.providers.wire_format import ParameterSupport

_NATIVE = (
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_logprobs",
    "tools", "tool_choice", "parallel_tool_calls", "response_format", "metadata", "user", "verbosity", "reasoning",
    "reasoning_effort", "reasoning.summary", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "safety_identifier", "max_tool_calls",
)  # fmt: skip
_EMULATED = (
    "logprobs", "functions", "function_call", "structured_outputs", "reasoning.enabled", "reasoning.exclude",
)  # fmt: skip
_DROPPED = (
    "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "stop",
    "logit_bias", "n", "modalities", "audio", "image_config", "prediction", "web_search_options", "x_search_filter",
    "cache_control", "reasoning.max_tokens", "store",
)  # fmt: skip
# Parameters of the chat dialect that are copied under their own names.
COPIED = (
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "max_tool_calls",
)  # fmt: skip
_OF_REASONING = ("reasoning", "reasoning_effort", "reasoning.summary")


@lru_cache(maxsize=256)
def _table_of(dialect: ResponsesDialect, *, sells_tiers: bool) -> Mapping[str, ParameterSupport]:
    native, emulated, dropped = ParameterSupport.NATIVE, ParameterSupport.EMULATED, ParameterSupport.DROPPED
    # Rows name fields of this dialect as well.
    absent = {name for name in dialect.absent if name in _NATIVE or name in _EMULATED}
    if not dialect.reasons:
        absent |= set(_OF_REASONING)
    elif not dialect.takes_effort:
        absent |= {"reasoning", "reasoning_effort", "reasoning.enabled"}
    elif dialect.efforts and OFF not in dialect.efforts:
        absent.add("reasoning.enabled")
    return MappingProxyType(
        dict.fromkeys(_NATIVE, native)
        | dict.fromkeys((*_EMULATED, *SERVED_BY_ROUTER), emulated)
        | dict.fromkeys((*_DROPPED, *UNSERVED), dropped)
        | dict.fromkeys(absent, dropped)
        | {"service_tier": native if sells_tiers else dropped}
    )


RESPONSES_SUPPORT = _table_of(ResponsesDialect(), sells_tiers=True)
"""List what the format does with each parameter at a provider that has no row of its own and sells service tiers."""


def responses_support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at ``endpoint``."""
    return _table_of(responses_dialect_at(endpoint), sells_tiers=bool(endpoint.tier_prices))
