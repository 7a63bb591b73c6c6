"""Publish what the format does with each parameter of the chat dialect.

Sources: the reference's ``ChatRequest`` and ``Parameter``; Claude API reference: Messages, Create a Message. A
parameter that is native or emulated may still be left out together with another parameter or for one of its values;
then ``Encoded.dropped`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.claude_traits import ClaudeTraits, claude_traits
from router_service.providers.wire_format import ParameterSupport

_NATIVE = (
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop",
    "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "cache_control", "user",
    "service_tier", "reasoning.max_tokens",
)  # fmt: skip
_EMULATED = (
    "reasoning", "reasoning_effort", "reasoning.enabled", "reasoning.exclude", "reasoning.summary", "response_format",
    "structured_outputs", "verbosity",
)  # fmt: skip
# The router keeps conversations at their endpoint by this key.
_ROUTER = ("prompt_cache_key",)
_DROPPED = (
    "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "top_a", "seed", "logit_bias", "logprobs",
    "top_logprobs", "n", "metadata", "modalities", "audio", "image_config", "prediction", "web_search_options",
    "x_search_filter", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls", "store",
    "safety_identifier",
)  # fmt: skip

SUPPORT: Mapping[str, ParameterSupport] = MappingProxyType(
    dict.fromkeys(_NATIVE, ParameterSupport.NATIVE)
    | dict.fromkeys((*_EMULATED, *_ROUTER, *SERVED_BY_ROUTER), ParameterSupport.EMULATED)
    | dict.fromkeys((*_DROPPED, *UNSERVED), ParameterSupport.DROPPED)
)
"""List what the format does with each parameter at a model that takes all that any model takes."""


def support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at the model of ``endpoint``."""
    return _table(claude_traits(endpoint.upstream_model))


@lru_cache(maxsize=64)
def _table(traits: ClaudeTraits) -> Mapping[str, ParameterSupport]:
    dropped: tuple[str, ...] = ()
    if not traits.sampling:
        dropped += ("temperature", "top_p", "top_k")
    if not traits.efforts:
        dropped += ("verbosity",)
    if not traits.budget:
        dropped += ("reasoning.max_tokens",)
    if traits.always_thinks:
        dropped += ("reasoning.enabled",)
    return MappingProxyType({**SUPPORT, **dict.fromkeys(dropped, ParameterSupport.DROPPED)})
