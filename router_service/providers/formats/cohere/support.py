"""Publish what the format does with each parameter of the chat dialect.

Sources: the reference's ``ChatRequest`` and ``Parameter``; Cohere API reference v2, "Chat" (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.formats.cohere.names import reasons
from router_service.providers.wire_format import ParameterSupport

_NATIVE = (
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop",
    "seed", "frequency_penalty", "presence_penalty", "tools", "tool_choice", "functions", "function_call",
    "response_format", "reasoning.enabled", "reasoning.max_tokens",
)  # fmt: skip
_EMULATED = ("reasoning", "reasoning_effort", "reasoning.exclude", "structured_outputs")
# The router keeps conversations at their endpoint by this key.
_ROUTER = ("prompt_cache_key",)
_DROPPED = (
    "repetition_penalty", "min_p", "top_a", "logit_bias", "logprobs", "top_logprobs", "n", "user", "metadata",
    "modalities", "audio", "image_config", "prediction", "web_search_options", "x_search_filter", "verbosity",
    "prompt_cache_options", "prompt_cache_retention", "max_tool_calls", "store", "safety_identifier", "cache_control",
    "parallel_tool_calls", "service_tier", "reasoning.summary",
)  # fmt: skip
_OF_THINKING = ("reasoning", "reasoning_effort", "reasoning.max_tokens")

SUPPORT: Mapping[str, ParameterSupport] = MappingProxyType(
    dict.fromkeys(_NATIVE, ParameterSupport.NATIVE)
    | dict.fromkeys((*_EMULATED, *_ROUTER, *SERVED_BY_ROUTER), ParameterSupport.EMULATED)
    | dict.fromkeys((*_DROPPED, *UNSERVED), ParameterSupport.DROPPED)
)
"""List what the format does with each parameter at a model that thinks."""
# Where nothing is thought, there is nothing to switch off.
_WITHOUT_THINKING = MappingProxyType(
    {
        **SUPPORT,
        **dict.fromkeys(_OF_THINKING, ParameterSupport.DROPPED),
        "reasoning.enabled": ParameterSupport.EMULATED,
    }
)


def support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at the model of ``endpoint``."""
    return SUPPORT if reasons(endpoint.upstream_model) else _WITHOUT_THINKING
