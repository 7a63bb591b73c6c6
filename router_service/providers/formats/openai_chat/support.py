"""List what the format does with each parameter of the chat dialect."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from router_service.providers.wire_format import ParameterSupport

# Fields of a body that are for the router and are never sent.
ROUTER_ONLY = frozenset(
    {
        "model",
        "models",
        "provider",
        "plugins",
        "route",
        "transforms",
        "usage",
        "session_id",
        "trace",
        "debug",
        "preset",
        "stream",
        "stream_options",
        "include_reasoning",
        "reasoning",
        "service_tier",
        "speed",
    }
)

_NATIVE = (
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "min_p",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "stop",
    "store",
    "stream",
    "stream_options",
    "structured_outputs",
    "temperature",
    "tool_choice",
    "tools",
    "top_a",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
)

# ``reasoning`` becomes ``reasoning_effort``, ``include_reasoning`` is the client API's own. ``service_tier`` is sent to
# providers that sell tiers. Cache marks and a limit of reasoning in tokens exist in few dialects.
SUPPORT: Mapping[str, ParameterSupport] = MappingProxyType(
    dict.fromkeys(_NATIVE, ParameterSupport.NATIVE)
    | {
        "reasoning": ParameterSupport.EMULATED,
        "include_reasoning": ParameterSupport.EMULATED,
        "reasoning.max_tokens": ParameterSupport.DROPPED,
        "reasoning.summary": ParameterSupport.DROPPED,
        "cache_control": ParameterSupport.DROPPED,
        "service_tier": ParameterSupport.NATIVE,
    }
)
