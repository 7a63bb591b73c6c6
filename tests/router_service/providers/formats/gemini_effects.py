"""Tell what a body of Google's generateContent contains because of a parameter."""

from __future__ import annotations

from data.catalogue.types import Endpoint
from tests.router_service.providers.formats.parameter_cases import LOOKUP, MESSAGES, SCHEMA, Fields

# What a body of generateContent contains, by the model where that matters.
GEMINI_TOOLS: Fields = {
    "tools": [{"functionDeclarations": [{"name": "sentinel", "parametersJsonSchema": LOOKUP["parameters"]}]}]
}
GEMINI_CHOICE: Fields = {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["sentinel"]}}}
GEMINI_CONFIG: dict[str, Fields] = {
    "max_tokens": {"maxOutputTokens": 77},
    "max_completion_tokens": {"maxOutputTokens": 78},
    "temperature": {"temperature": 0.375},
    "top_p": {"topP": 0.625},
    "top_k": {"topK": 17},
    "seed": {"seed": 20261129},
    "stop": {"stopSequences": ["sentinel"]},
    "frequency_penalty": {"frequencyPenalty": 0.5},
    "presence_penalty": {"presencePenalty": 0.75},
    "logprobs": {"responseLogprobs": True},
    "top_logprobs": {"logprobs": 5},
    "response_format": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
}
GEMINI_EFFECTS: dict[str, Fields] = {
    "messages": {"contents": [{"role": "user", "parts": [{"text": MESSAGES[0]["content"]}]}]},
    "tools": GEMINI_TOOLS,
    "functions": GEMINI_TOOLS,
    "tool_choice": GEMINI_CHOICE,
    "function_call": GEMINI_CHOICE,
    "web_search_options": {"tools": [{"googleSearch": {}}]},
    "service_tier": {"serviceTier": "standard"},
    # The address names the model and asks for a stream.
    **{name: {} for name in ("model", "stream", "stream_options", "include_reasoning", "models", "provider", "route")},
    **{name: {} for name in ("session_id", "prompt_cache_key", "reasoning.exclude", "structured_outputs", "trace")},
    "usage": {},
} | {name: {"generationConfig": fields} for name, fields in GEMINI_CONFIG.items()}
_BUDGETED = {
    "reasoning": {"thinkingBudget": 6400, "includeThoughts": True},
    "reasoning_effort": {"thinkingBudget": 1024, "includeThoughts": True},
    "reasoning.max_tokens": {"thinkingBudget": 2345, "includeThoughts": True},
    "reasoning.summary": {"includeThoughts": True},
    "reasoning.enabled": {"thinkingBudget": 0},
}
_LEVELLED = {
    "reasoning": {"thinkingLevel": "HIGH", "includeThoughts": True},
    "reasoning_effort": {"thinkingLevel": "LOW", "includeThoughts": True},
    "reasoning.summary": {"thinkingLevel": "MEDIUM", "includeThoughts": True},
}
GEMINI_MODELS: dict[tuple[str, str], dict[str, Fields]] = {
    ("google", "gemini-2.0-flash"): {},
    ("google", "gemini-2.5-flash"): _BUDGETED,
    ("google", "gemini-2.5-pro"): _BUDGETED,
    ("google", "gemini-3-flash-preview"): _LEVELLED,
    ("google", "gemini-3-pro-preview"): _LEVELLED | {"reasoning.summary": {"includeThoughts": True}},
    ("google-vertex", "gemini-2.5-flash"): _BUDGETED,
    ("without-a-row", "model-1"): {},
}


def gemini_effect(name: str, endpoint: Endpoint) -> Fields:
    """Return what a body of generateContent contains because of ``name``, where that is native or emulated."""
    thinking = GEMINI_MODELS[endpoint.provider, endpoint.upstream_model]
    if name in thinking:
        return {"generationConfig": {"thinkingConfig": thinking[name]}}
    return GEMINI_EFFECTS.get(name, {})
