"""Publish what the format does with each parameter of the chat dialect.

Sources: the reference's ``ChatRequest`` and ``Parameter``; Gemini API reference: generateContent, GenerationConfig. A
parameter that is native or emulated may still be left out for one of its values; then ``Encoded.dropped`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from data.catalogue.types import Endpoint
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.formats.gemini.dialect import gemini_dialect_at
from router_service.providers.formats.gemini.model_traits import GeminiTraits, gemini_traits
from router_service.providers.wire_format import ParameterSupport

_NATIVE = (
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "seed",
    "stop", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "tools", "tool_choice",
    "response_format", "modalities", "image_config", "reasoning", "reasoning_effort", "reasoning.max_tokens",
)  # fmt: skip
_EMULATED = (
    "functions", "function_call", "structured_outputs", "web_search_options", "prompt_cache_key", "reasoning.enabled",
    "reasoning.exclude", "reasoning.summary",
)  # fmt: skip
_DROPPED = (
    "parallel_tool_calls", "min_p", "top_a", "repetition_penalty", "logit_bias", "n", "user", "metadata", "verbosity",
    "prediction", "cache_control", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls",
    "x_search_filter", "audio", "store", "safety_identifier",
)  # fmt: skip


@lru_cache(maxsize=256)
def _table_of(traits: GeminiTraits, *, logprobs: bool, tiers: bool) -> Mapping[str, ParameterSupport]:
    native, emulated, dropped = ParameterSupport.NATIVE, ParameterSupport.EMULATED, ParameterSupport.DROPPED
    absent: set[str] = set()
    if not traits.penalties:
        absent |= {"frequency_penalty", "presence_penalty"}
    if not logprobs:
        absent |= {"logprobs", "top_logprobs"}
    if not (traits.images or traits.speech):
        absent.add("modalities")
    if not traits.images:
        absent.add("image_config")
    if traits.thinking == "none":
        absent |= {"reasoning", "reasoning_effort", "reasoning.summary"}
    if traits.thinking == "fixed":
        absent |= {"reasoning", "reasoning_effort"}
    if traits.thinking != "budget":
        absent.add("reasoning.max_tokens")
    if traits.thinking != "none" and not traits.stops:
        absent.add("reasoning.enabled")
    return MappingProxyType(
        dict.fromkeys(_NATIVE, native)
        | dict.fromkeys((*_EMULATED, *SERVED_BY_ROUTER), emulated)
        | dict.fromkeys((*_DROPPED, *UNSERVED, *absent), dropped)
        | {"service_tier": native if tiers else dropped}
    )


_EVERYTHING = GeminiTraits("budget", stops=True, penalties=True, json_with_tools=True, images=True, speech=True)
GEMINI_SUPPORT = _table_of(_EVERYTHING, logprobs=True, tiers=True)
"""List what the format does with each parameter at a model that takes all that any model takes."""


def gemini_support_at(endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
    """Return what the format does with each parameter at the model of ``endpoint``."""
    model = endpoint.upstream_model
    logprobs = gemini_dialect_at(endpoint).takes("logprobs", model)
    return _table_of(gemini_traits(model), logprobs=logprobs, tiers=bool(endpoint.tier_prices))
