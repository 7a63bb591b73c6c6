"""Publish what the format does with each parameter of the chat dialect.

Sources: the reference's ``ChatRequest`` and ``Parameter``; Claude API reference: Messages, Create a Message. A
parameter that is native or emulated may still be left out for one model or together with another parameter; then
``Encoded.dropped`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from router_service.providers.wire_format import ParameterSupport

_NATIVE = (
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop",
    "tools", "tool_choice", "parallel_tool_calls", "cache_control", "user", "service_tier",
)  # fmt: skip
_EMULATED = (
    "reasoning", "reasoning_effort", "include_reasoning", "response_format", "structured_outputs", "verbosity",
)  # fmt: skip
# The router itself does what these ask for, whatever the format.
_ROUTER = (
    "models", "provider", "plugins", "preset", "route", "transforms", "session_id", "prompt_cache_key", "trace",
    "debug", "usage", "stream_options",
)  # fmt: skip
_DROPPED = (
    "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "top_a", "seed", "logit_bias", "logprobs",
    "top_logprobs", "n", "metadata", "modalities", "audio", "image_config", "prediction", "web_search_options",
    "x_search_filter", "prompt_cache_options", "max_tool_calls", "stop_server_tools_when", "store",
)  # fmt: skip

SUPPORT: Mapping[str, ParameterSupport] = MappingProxyType(
    dict.fromkeys(_NATIVE, ParameterSupport.NATIVE)
    | dict.fromkeys(_EMULATED + _ROUTER, ParameterSupport.EMULATED)
    | dict.fromkeys(_DROPPED, ParameterSupport.DROPPED)
)
