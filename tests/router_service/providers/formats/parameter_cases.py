"""Hold a request of the chat dialect for each parameter, and what a body must then contain."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from data.catalogue.types import Endpoint, Price
from router_service.providers.formats.openai_chat.dialect import Dialect, dialect_at

Fields = dict[str, Any]
LOOKUP = {"name": "sentinel", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}
TOOLS: Fields = {"tools": [{"type": "function", "function": LOOKUP}]}
SCHEMA = {
    "type": "object",
    "properties": {"sentinel": {"type": "string"}},
    "required": ["sentinel"],
    "additionalProperties": False,
}
FORMAT: Fields = {"response_format": {"type": "json_schema", "json_schema": {"name": "shape", "schema": SCHEMA}}}
ROOM: Fields = {"max_tokens": 8000}


class ParameterCase(NamedTuple):
    """Hold the fields of a request that sets the parameter, and those of the same request ``without`` it."""

    fields: Fields
    without: Fields = {}


# Every parameter of the reference's ``ChatRequest``, of its list of supported parameters and of its documentation, and
# those of OpenAI's chat completions that clients of the dialect send.
CASES: dict[str, ParameterCase] = {
    "model": ParameterCase({}),
    "messages": ParameterCase({}),
    "max_tokens": ParameterCase({"max_tokens": 77}),
    "max_completion_tokens": ParameterCase({"max_completion_tokens": 78}),
    "stream": ParameterCase({"stream": True}),
    "stream_options": ParameterCase({"stream": True, "stream_options": {"include_usage": False}}, {"stream": True}),
    "temperature": ParameterCase({"temperature": 0.375}),
    "top_p": ParameterCase({"top_p": 0.625}),
    "top_k": ParameterCase({"top_k": 17}),
    "min_p": ParameterCase({"min_p": 0.125}),
    "top_a": ParameterCase({"top_a": 0.25}),
    "frequency_penalty": ParameterCase({"frequency_penalty": 0.5}),
    "presence_penalty": ParameterCase({"presence_penalty": 0.75}),
    "repetition_penalty": ParameterCase({"repetition_penalty": 1.125}),
    "seed": ParameterCase({"seed": 20261129}),
    "logit_bias": ParameterCase({"logit_bias": {"7": 1.5}}),
    "logprobs": ParameterCase({"logprobs": True}),
    "top_logprobs": ParameterCase({"logprobs": True, "top_logprobs": 5}, {"logprobs": True}),
    "n": ParameterCase({"n": 3}),
    "stop": ParameterCase({"stop": ["sentinel"]}),
    "user": ParameterCase({"user": "sentinel"}),
    "metadata": ParameterCase({"metadata": {"sentinel": "yes"}}),
    "modalities": ParameterCase({"modalities": ["text", "audio"]}),
    "verbosity": ParameterCase({"verbosity": "medium"}),
    "prediction": ParameterCase({"prediction": {"type": "content", "content": "sentinel"}}),
    "service_tier": ParameterCase({"service_tier": "auto"}),
    "tools": ParameterCase(TOOLS),
    "tool_choice": ParameterCase(
        TOOLS | {"tool_choice": {"type": "function", "function": {"name": "sentinel"}}}, TOOLS
    ),
    "parallel_tool_calls": ParameterCase(TOOLS | {"parallel_tool_calls": False}, TOOLS),
    "functions": ParameterCase({"functions": [LOOKUP]}),
    "function_call": ParameterCase(
        {"functions": [LOOKUP], "function_call": {"name": "sentinel"}}, {"functions": [LOOKUP]}
    ),
    "response_format": ParameterCase(FORMAT),
    "structured_outputs": ParameterCase(FORMAT | {"structured_outputs": True}, FORMAT),
    "reasoning": ParameterCase(ROOM | {"reasoning": {"effort": "high"}}, ROOM),
    "reasoning_effort": ParameterCase(ROOM | {"reasoning_effort": "low"}, ROOM),
    "reasoning.max_tokens": ParameterCase(
        ROOM | {"reasoning": {"max_tokens": 2345}}, ROOM | {"reasoning": {"enabled": True}}
    ),
    "reasoning.summary": ParameterCase(
        ROOM | {"reasoning": {"enabled": True, "summary": "detailed"}}, ROOM | {"reasoning": {"enabled": True}}
    ),
    # Where reasoning cannot be turned off, the least of it is asked for, as for the effort that is called none.
    "reasoning.enabled": ParameterCase(
        ROOM | {"reasoning": {"enabled": False}}, ROOM | {"reasoning": {"effort": "none"}}
    ),
    "reasoning.exclude": ParameterCase(ROOM | {"reasoning": {"exclude": True}}, ROOM),
    "include_reasoning": ParameterCase({"include_reasoning": False}),
    "cache_control": ParameterCase({"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
    "prompt_cache_key": ParameterCase({"prompt_cache_key": "sentinel"}),
    "prompt_cache_retention": ParameterCase({"prompt_cache_retention": "24h"}),
    "prompt_cache_options": ParameterCase({"prompt_cache_options": {"mode": "explicit", "ttl": "1h"}}),
    "models": ParameterCase({"models": ["author/sentinel"]}),
    "provider": ParameterCase({"provider": {"sort": "price"}}),
    "route": ParameterCase({"route": "fallback"}),
    "session_id": ParameterCase({"session_id": "sentinel"}),
    "trace": ParameterCase({"trace": {"trace_id": "sentinel"}}),
    "usage": ParameterCase({"usage": {"include": True}}),
    "debug": ParameterCase({"debug": {"echo_upstream_body": True}}),
    "plugins": ParameterCase({"plugins": [{"id": "sentinel"}]}),
    "preset": ParameterCase({"preset": "sentinel"}),
    "transforms": ParameterCase({"transforms": ["middle-out"]}),
    "max_tool_calls": ParameterCase({"max_tool_calls": 19}),
    "stop_server_tools_when": ParameterCase({"stop_server_tools_when": [{"type": "step_count_is", "step_count": 19}]}),
    "web_search_options": ParameterCase({"web_search_options": {"search_context_size": "low"}}),
    "x_search_filter": ParameterCase({"x_search_filter": {"allowed_x_handles": ["sentinel"]}}),
    "image_config": ParameterCase({"image_config": {"aspect_ratio": "16:9"}}),
    "audio": ParameterCase({"audio": {"voice": "sentinel", "format": "wav"}}),
    "store": ParameterCase({"store": True}),
    "safety_identifier": ParameterCase({"safety_identifier": "sentinel"}),
}
MESSAGES = [{"role": "user", "content": "sentinel of the messages"}]
# These parameters are named by others that say the same.
REPORTED_AS = {"reasoning_effort": "reasoning", "functions": "tools", "function_call": "tool_choice"}


def endpoint_for(
    wire_format: Any, provider: str, model: str, *, tiers: bool = False, key_env: tuple[str, ...] = ()
) -> Endpoint:
    """Return an endpoint of ``provider``, which sells two service tiers or none."""
    return Endpoint(
        id=f"{provider}:{model}",
        tag=provider,
        provider=provider,
        provider_name=provider.title(),
        model="author/model",
        upstream_model=model,
        wire_format=wire_format,
        base_url="http://provider.test/v1",
        key_env=key_env,
        price=Price(1, 1),
        context_length=200_000,
        tier_prices=(("default", Price(1, 1)), ("flex", Price(1, 1))) if tiers else (),
    )


def chat_effect(name: str, endpoint: Endpoint, *, copied: bool) -> Fields:
    """Return what a body of chat completions contains because of ``name``, where that is native or emulated.

    ``copied`` is true for a body whose fields are copied as they came.
    """
    dialect, fields = dialect_at(endpoint), CASES[name].fields
    as_object = dialect.reasoning_request == "object"
    translated = {"functions": TOOLS, "function_call": TOOLS | {"tool_choice": _choice(dialect)}}
    match name:
        case "model":
            return {"model": endpoint.upstream_model}
        case "messages":
            return {"messages": MESSAGES}
        case "stream_options":
            return {"stream_options": {"include_usage": True}} if dialect.stream_options else {"stream": True}
        case "max_tokens" | "max_completion_tokens":
            return {dialect.max_tokens: fields[name]}
        case "functions" | "function_call" if not (copied and dialect.functions):
            return translated[name]
        case "tool_choice":
            return {"tool_choice": _choice(dialect)}
        case "response_format" if not dialect.schemas:
            if dialect.json_object:
                return {"response_format": {"type": "json_object"}}
            shape = json.dumps(SCHEMA, separators=(",", ":"))
            wish = f"Answer with a JSON object that is valid under this JSON schema: {shape}"
            return {"messages": [{"role": "system", "content": wish}, *MESSAGES]}
        case "reasoning" | "reasoning_effort" if not as_object or not copied:
            return _reasoning_effect("high" if name == "reasoning" else "low", dialect, own=name == "reasoning_effort")
        case "reasoning":
            return {"reasoning": {"effort": "high"}}
        case "reasoning.enabled":
            return {"reasoning": {"enabled": False}} if as_object else _reasoning_effect("none", dialect, own=False)
        case "reasoning.max_tokens" if not as_object:
            return {"enable_thinking": True, "thinking_budget": 2345}
        case "reasoning.max_tokens" | "reasoning.summary":
            return {"reasoning": {key: value for key, value in fields["reasoning"].items() if key != "enabled"}}
        case "structured_outputs" if name in dialect.absent or not dialect.schemas:
            return {}
        case "include_reasoning" | "reasoning.exclude" | "models" | "provider" | "route" | "session_id" | "trace":
            return {}
        case "usage":
            return {}
    return {dialect.renamed.get(name, name): fields[name]}


def _choice(dialect: Dialect) -> Any:
    """Return how the choice of the only tool is said."""
    if "tool" in dialect.tool_choices:
        return {"type": "function", "function": {"name": "sentinel"}}
    return "required"


def _reasoning_effect(effort: str, dialect: Dialect, *, own: bool) -> Fields:
    """Return what a body contains for an effort; ``own`` is true where the client wrote ``reasoning_effort``."""
    known, on = dialect.efforts, effort != "none"
    said = effort if not known or effort in known else next(name for name in known if name != "none")
    match dialect.reasoning_request:
        case "object":
            return {"reasoning": {"effort": effort}}
        case "switch":
            fields: Fields = {"reasoning": {"enabled": on}}
        case "thinking":
            fields = {"thinking": {"type": dialect.thinking_on if on else "disabled"}}
        case "enable_thinking":
            budgets = {"high": 6400, "low": 1600} if dialect.thinking_budget else {}
            fields = {"enable_thinking": on} | ({"thinking_budget": budgets[effort]} if effort in budgets else {})
        case "template":
            fields = {"chat_template_kwargs": {"enable_thinking": on}}
        case _:
            return {"reasoning_effort": said}
    return fields | ({"reasoning_effort": said} if known and on else {})


# What a body of the messages format contains, by the generation of the model where that matters.
TOOL_USE = {"type": "tool", "name": "sentinel"}
MESSAGES_EFFECTS: dict[str, Fields] = {
    "messages": {"messages": [{"role": "user", "content": [{"type": "text", "text": MESSAGES[0]["content"]}]}]},
    "max_completion_tokens": {"max_tokens": 78},
    "stop": {"stop_sequences": ["sentinel"]},
    "user": {"metadata": {"user_id": "sentinel"}},
    "tools": {"tools": [{"name": "sentinel", "input_schema": LOOKUP["parameters"]}]},
    "functions": {"tools": [{"name": "sentinel", "input_schema": LOOKUP["parameters"]}]},
    "tool_choice": {"tool_choice": TOOL_USE},
    "function_call": {"tool_choice": TOOL_USE},
    "parallel_tool_calls": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "verbosity": {"output_config": {"effort": "medium"}},
    # The router itself does what these ask for; what structured_outputs asks for, response_format has asked for.
    **{name: {} for name in ("include_reasoning", "models", "prompt_cache_key", "provider", "route", "session_id")},
    "reasoning.exclude": {},
    **{name: {} for name in ("stream_options", "structured_outputs", "trace", "usage")},
}
BUDGET_EFFECTS: dict[str, Fields] = {
    "reasoning": {"thinking": {"type": "enabled", "budget_tokens": 6400}},
    "reasoning_effort": {"thinking": {"type": "enabled", "budget_tokens": 1600}},
    "reasoning.enabled": {},
    "reasoning.max_tokens": {"thinking": {"type": "enabled", "budget_tokens": 2345}},
    "reasoning.summary": {},
}
ADAPTIVE_EFFECTS: dict[str, Fields] = {
    "reasoning": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
    "reasoning_effort": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    "reasoning.max_tokens": {"thinking": {"type": "enabled", "budget_tokens": 2345}},
    "reasoning.enabled": {},
    "reasoning.summary": {"thinking": {"type": "adaptive", "display": "summarized"}},
}
NATIVE_SCHEMA: Fields = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
FORCED_TOOL: Fields = {
    "tools": [{"name": "shape", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "shape"},
}
MODEL_EFFECTS: dict[str, dict[str, Fields]] = {
    "claude-3-7-sonnet": BUDGET_EFFECTS | {"response_format": FORCED_TOOL},
    "claude-sonnet-4-5": BUDGET_EFFECTS | {"response_format": NATIVE_SCHEMA},
    "claude-opus-4-6": ADAPTIVE_EFFECTS | {"response_format": NATIVE_SCHEMA},
    "claude-opus-4-7": ADAPTIVE_EFFECTS | {"response_format": NATIVE_SCHEMA},
    "MiniMax-M2": BUDGET_EFFECTS | {"response_format": FORCED_TOOL},
}


# What a body of the Responses format contains, by the model where that matters.
RESPONSES_TOOL = {"type": "function", "name": "sentinel", "parameters": LOOKUP["parameters"], "strict": False}
RESPONSES_EFFECTS: dict[str, Fields] = {
    "messages": {
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": MESSAGES[0]["content"]}],
            }
        ]
    },
    "max_tokens": {"max_output_tokens": 77},
    "max_completion_tokens": {"max_output_tokens": 78},
    "logprobs": {"include": ["message.output_text.logprobs"]},
    "tools": {"tools": [RESPONSES_TOOL]},
    "functions": {"tools": [RESPONSES_TOOL]},
    "tool_choice": {"tool_choice": {"type": "function", "name": "sentinel"}},
    "function_call": {"tool_choice": {"type": "function", "name": "sentinel"}},
    "response_format": {
        "text": {"format": {"type": "json_schema", "name": "shape", "schema": SCHEMA, "strict": False}}
    },
    "verbosity": {"text": {"verbosity": "medium"}},
    "reasoning": {"reasoning": {"effort": "high", "summary": "auto"}},
    "reasoning_effort": {"reasoning": {"effort": "low", "summary": "auto"}},
    "reasoning.enabled": {"reasoning": {"effort": "none"}},
    "reasoning.summary": {"reasoning": {"summary": "detailed"}},
    **{name: {} for name in ("include_reasoning", "models", "provider", "route", "session_id", "stream_options")},
    **{name: {} for name in ("reasoning.exclude", "structured_outputs", "trace", "usage")},
}
# What changes for models that reason or do not, and for those whose reasoning cannot be told how much.
RESPONSES_MODELS: dict[tuple[str, str], dict[str, Fields]] = {
    # A model that does not reason needs no word to stop it.
    ("openai", "gpt-4.1"): {"reasoning.enabled": {}},
    ("openai", "gpt-5-mini"): {},
    ("openai", "gpt-5-codex"): {},
    ("openai", "gpt-5.1"): {},
    ("openai", "gpt-5.2-pro"): {"reasoning_effort": {"reasoning": {"effort": "medium", "summary": "auto"}}},
    ("azure", "gpt-5.1-codex-max"): {},
    ("xai", "grok-4.3"): {"logprobs": {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}},
    ("xai", "grok-4.20-0309-reasoning"): {
        "logprobs": {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}
    },
    ("without-a-row", "model-1"): {
        "logprobs": {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}
    },
}


def responses_effect(name: str, endpoint: Endpoint) -> Fields:
    """Return what a body of the Responses format contains because of ``name``, where that is native or emulated."""
    if name == "model":
        return {"model": endpoint.upstream_model}
    known = RESPONSES_EFFECTS | RESPONSES_MODELS[endpoint.provider, endpoint.upstream_model]
    return known[name] if name in known else {name: CASES[name].fields[name]}


def messages_effect(name: str, endpoint: Endpoint) -> Fields:
    """Return what a body of the messages format contains because of ``name``, where that is native or emulated."""
    if name == "model":
        return {"model": endpoint.upstream_model}
    known = MESSAGES_EFFECTS | MODEL_EFFECTS[endpoint.upstream_model]
    return known[name] if name in known else {name: CASES[name].fields[name]}


COHERE_TOOLS: Fields = {"tools": [{"type": "function", "function": LOOKUP}]}
COHERE_EFFECTS: dict[str, Fields] = {
    "messages": {"messages": MESSAGES},
    "max_completion_tokens": {"max_tokens": 78},
    "top_p": {"p": 0.625},
    "top_k": {"k": 17},
    "stop": {"stop_sequences": ["sentinel"]},
    "tools": COHERE_TOOLS,
    "functions": COHERE_TOOLS,
    "tool_choice": COHERE_TOOLS | {"tool_choice": "REQUIRED"},
    "function_call": COHERE_TOOLS | {"tool_choice": "REQUIRED"},
    "response_format": {"response_format": {"type": "json_object", "json_schema": SCHEMA}},
    "reasoning": {"thinking": {"type": "enabled"}},
    "reasoning_effort": {"thinking": {"type": "enabled"}},
    "reasoning.max_tokens": {"thinking": {"type": "enabled", "token_budget": 2345}},
    **{name: {} for name in ("include_reasoning", "models", "prompt_cache_key", "provider", "route", "session_id")},
    **{name: {} for name in ("reasoning.exclude", "stream_options", "structured_outputs", "trace", "usage")},
}
COHERE_MODELS = ("command-a-03-2025", "command-a-reasoning-08-2025")


def cohere_effect(name: str, endpoint: Endpoint) -> Fields:
    """Return what a body of Cohere's chat contains because of ``name``, where that is native or emulated."""
    if name == "model":
        return {"model": endpoint.upstream_model}
    if name == "reasoning.enabled":
        return {"thinking": {"type": "disabled"}} if "reasoning" in endpoint.upstream_model else {}
    return COHERE_EFFECTS[name] if name in COHERE_EFFECTS else {name: CASES[name].fields[name]}
