"""Publish what the format does with each parameter of the chat dialect.

Sources: the reference's ``ChatRequest`` and ``Parameter``; Amazon Bedrock API reference: Converse. A parameter that is
native or emulated may still be left out together with another parameter or for one of its values; then
``Encoded.dropped`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.claude_traits import ClaudeTraits
from router_service.providers.formats.bedrock_converse.model_traits import ConverseTraits, converse_traits
from router_service.providers.wire_format import ParameterSupport

_NATIVE = (
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop",
    "tools", "tool_choice", "functions", "function_call", "cache_control", "metadata", "reasoning.max_tokens",
)  # fmt: skip
_EMULATED = (
    "reasoning", "reasoning_effort", "reasoning.enabled", "reasoning.exclude", "reasoning.summary", "response_format",
    "structured_outputs", "verbosity",
)  # fmt: skip
# The router keeps conversations at their endpoint by this key.
_ROUTER = ("prompt_cache_key",)
_DROPPED = (
    "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "top_a", "seed", "logit_bias", "logprobs",
    "top_logprobs", "n", "parallel_tool_calls", "user", "modalities", "audio", "image_config", "prediction",
    "web_search_options", "x_search_filter", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls",
    "store", "safety_identifier",
)  # fmt: skip


@lru_cache(maxsize=256)
def _table(traits: ConverseTraits, *, tiers: bool) -> Mapping[str, ParameterSupport]:
    native, emulated, dropped = ParameterSupport.NATIVE, ParameterSupport.EMULATED, ParameterSupport.DROPPED
    absent: set[str] = set()
    claude = traits.claude
    if claude is not None and not claude.sampling:
        absent |= {"temperature", "top_p", "top_k"}
    if traits.top_k == "none":
        absent.add("top_k")
    if traits.caches == "none":
        absent.add("cache_control")
    if not traits.choices:
        absent |= {"tool_choice", "function_call"}
    if not traits.efforts:
        absent.add("verbosity")
    if traits.reasoning == "none":
        absent |= {"reasoning", "reasoning_effort", "reasoning.summary"}
    if claude is None or not claude.budget:
        absent.add("reasoning.max_tokens")
    if (claude is not None and claude.always_thinks) or traits.reasoning == "effort":
        absent.add("reasoning.enabled")
    return MappingProxyType(
        dict.fromkeys(_NATIVE, native)
        | dict.fromkeys((*_EMULATED, *_ROUTER, *SERVED_BY_ROUTER), emulated)
        | dict.fromkeys((*_DROPPED, *UNSERVED, *absent), dropped)
        | {"service_tier": native if tiers else dropped}
    )


_EVERYTHING = ConverseTraits(
    claude=ClaudeTraits(efforts=("low", "high")),
    reasoning="claude",
    top_k="claude",
    choices=frozenset({"any", "tool"}),
    caches="all",
)
CONVERSE_SUPPORT = _table(_EVERYTHING, tiers=True)
"""List what the format does with each parameter at a model that takes all that any model takes."""


def converse_support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at the model of ``endpoint``."""
    return _table(converse_traits(endpoint.upstream_model), tiers=bool(endpoint.tier_prices))
