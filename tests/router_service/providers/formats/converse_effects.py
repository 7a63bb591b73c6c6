"""Tell what a body of Amazon Bedrock's Converse contains because of a parameter."""

from __future__ import annotations

import json
from typing import Any

from data.catalogue.types import Endpoint
from tests.router_service.providers.formats.parameter_cases import LOOKUP, MESSAGES, SCHEMA, Fields

CLAUDE, NEWER = "anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-opus-4-7"
OLDER, NOVA_2 = "anthropic.claude-opus-4-1-20250805-v1:0", "amazon.nova-2-lite-v1:0"
OSS, MISTRAL = "openai.gpt-oss-120b-1:0", "mistral.mistral-large-3-675b-instruct"
TOOL_SPECS: Fields = {
    "toolConfig": {"tools": [{"toolSpec": {"name": "sentinel", "inputSchema": {"json": LOOKUP["parameters"]}}}]}
}
CONFIG: dict[str, Fields] = {
    "max_tokens": {"maxTokens": 77},
    "max_completion_tokens": {"maxTokens": 78},
    "temperature": {"temperature": 0.375},
    "top_p": {"topP": 0.625},
    "stop": {"stopSequences": ["sentinel"]},
}
CONVERSE_EFFECTS: dict[str, Fields] = {
    "messages": {"messages": [{"role": "user", "content": [{"text": MESSAGES[0]["content"]}]}]},
    "tools": TOOL_SPECS,
    "functions": TOOL_SPECS,
    "metadata": {"requestMetadata": {"sentinel": "yes"}},
    "service_tier": {"serviceTier": {"type": "default"}},
    "top_k": {"additionalModelRequestFields": {"top_k": 17}},
    "verbosity": {"outputConfig": {"effort": "medium"}},
    # The address names the model and asks for a stream.
    **{name: {} for name in ("model", "stream", "stream_options", "include_reasoning", "models", "provider", "route")},
    **{name: {} for name in ("session_id", "prompt_cache_key", "reasoning.exclude", "structured_outputs", "trace")},
    **{name: {} for name in ("usage", "reasoning.enabled")},
} | {name: {"inferenceConfig": fields} for name, fields in CONFIG.items()}
_NATIVE = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "shape"}}}}
_TEXT = json.dumps(SCHEMA, separators=(",", ":"))
_NATIVE["textFormat"]["structure"]["jsonSchema"]["schema"] = _TEXT  # type: ignore[index]


def _thinking(budget: int) -> Fields:
    return {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": budget}}}


_BUDGETS: dict[str, Fields] = {
    "reasoning": _thinking(6400),
    "reasoning_effort": _thinking(1600),
    "reasoning.max_tokens": _thinking(2345),
    "reasoning.summary": {},
}


def _adaptive(effort: str) -> Fields:
    asked = {"thinking": {"type": "adaptive", "display": "summarized"}}
    return {"outputConfig": {"effort": effort}, "additionalModelRequestFields": asked}


def _own(**fields: Any) -> Fields:
    return {"additionalModelRequestFields": fields}


def _forced(kind: Fields) -> dict[str, Fields]:
    choice = {"toolConfig": {"toolChoice": kind}}
    return {"tool_choice": choice, "function_call": choice}


_TOOL = _forced({"tool": {"name": "sentinel"}})
_FORCED_OUTPUT = {
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "shape", "inputSchema": {"json": SCHEMA}}}],
        "toolChoice": {"tool": {"name": "shape"}},
    }
}
_HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}


def _marked(mark: Fields) -> Fields:
    return {"messages": [{"role": "user", "content": [{"text": MESSAGES[0]["content"]}, mark]}]}


_MARKED = _marked(_HOUR)
# By model: what differs.
CONVERSE_MODELS: dict[str, dict[str, Fields]] = {
    CLAUDE: _BUDGETS | _TOOL | {"response_format": {"outputConfig": _NATIVE}, "cache_control": _MARKED},
    OLDER: _BUDGETS | _TOOL | {"response_format": _FORCED_OUTPUT, "cache_control": _MARKED},
    NEWER: _TOOL
    | {
        "reasoning": _adaptive("high"),
        "reasoning_effort": _adaptive("low"),
        "reasoning.summary": _own(thinking={"type": "adaptive", "display": "summarized"}),
        "response_format": {"outputConfig": _NATIVE},
        "cache_control": _MARKED,
    },
    NOVA_2: _TOOL
    | {
        "reasoning": _own(reasoningConfig={"type": "enabled", "maxReasoningEffort": "high"}),
        "reasoning_effort": _own(reasoningConfig={"type": "enabled", "maxReasoningEffort": "low"}),
        "reasoning.summary": _own(reasoningConfig={"type": "enabled", "maxReasoningEffort": "medium"}),
        "reasoning.enabled": _own(reasoningConfig={"type": "disabled"}),
        "cache_control": _marked({"cachePoint": {"type": "default"}}),
        "top_k": _own(inferenceConfig={"topK": 17}),
        "response_format": _FORCED_OUTPUT,
    },
    OSS: {
        "reasoning": _own(reasoning_effort="high"),
        "reasoning_effort": _own(reasoning_effort="low"),
        "reasoning.summary": _own(reasoning_effort="medium"),
        "response_format": {"outputConfig": _NATIVE},
    },
    MISTRAL: _forced({"any": {}}) | {"response_format": {"outputConfig": _NATIVE}},
}


def converse_effect(name: str, endpoint: Endpoint) -> Fields:
    """Return what a body of Converse contains because of ``name``, where that is native or emulated."""
    of_model = CONVERSE_MODELS[endpoint.upstream_model]
    return of_model[name] if name in of_model else CONVERSE_EFFECTS.get(name, {})
