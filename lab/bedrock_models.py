"""Refuse what the models of Amazon Bedrock refuse, each family its own.

Sources: Amazon Bedrock user guide: Supported models and model features, Structured outputs; Amazon Bedrock API
reference: ToolChoice; Amazon Nova 2 user guide: Extended thinking. The models' own sentences are wrapped in "The model
returned the following errors".
"""

from __future__ import annotations

import re
from typing import Any

from lab.anthropic_refusals import ONE_SAMPLER
from lab.anthropic_thinking import check_thinking
from lab.shapes import RequestRefused

_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2})(?!\d))?")
_SCHEMAS = ("qwen3", "gpt-oss", "deepseek.v3", "gemma-3", "minimax-m2", "mistral-large-3", "ministral-3", "magistral",
            "voxtral", "kimi-k2", "nemotron")  # fmt: skip
_OWN_OF_CLAUDE = {
    "thinking",
    "top_k",
    "anthropic_beta",
    "output_config",
    "tool_choice",
    "metadata",
    "context_management",
}
_OWN_OF_NOVA = {"inferenceConfig", "reasoningConfig"}


def is_claude(model: str) -> bool:
    """Return whether the model is one of Anthropic's."""
    return "claude" in model


def is_nova(model: str) -> bool:
    """Return whether the model is one of Amazon's."""
    return "amazon.nova" in model


def mixes_results(model: str) -> bool:
    """Return whether text may stand beside results of tools."""
    return is_claude(model) or is_nova(model)


def caches_prompts(model: str) -> bool:
    """Return whether a prompt may have cache points."""
    return mixes_results(model)


def caches_tools(model: str) -> bool:
    """Return whether tools may have cache points, and a cache point an hour."""
    return is_claude(model)


def claude_version(model: str) -> tuple[int, int]:
    """Return the generation of a Claude model."""
    found = _CLAUDE_VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def check_bedrock_model(body: dict[str, Any], model: str) -> None:
    """Raise ``RequestRefused`` for what ``model`` does not take."""
    own = body.get("additionalModelRequestFields") or {}
    if is_claude(model):
        _check_claude(body, own, model)
    elif is_nova(model):
        _check_nova(body, own, model)
    else:
        _refuse_extraneous(own, {"reasoning_effort"} if "gpt-oss" in model else set())
    _check_choice(body, model)
    if (body.get("outputConfig") or {}).get("textFormat") and not _takes_schemas(model):
        raise _refused("This model doesn't support the outputConfig.textFormat field. Remove the field and try again.")
    if body["messages"][-1]["role"] == "assistant" and not (is_claude(model) and claude_version(model) < (4, 6)):
        raise _of_model(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _takes_schemas(model: str) -> bool:
    return claude_version(model) >= (4, 5) if is_claude(model) else any(name in model for name in _SCHEMAS)


def _check_choice(body: dict[str, Any], model: str) -> None:
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {}
    kind = next(iter(choice), "auto")
    allowed = {"auto", "any", "tool"} if mixes_results(model) else {"auto"}
    if "mistral-large" in model:
        allowed |= {"any"}
    if kind not in allowed:
        raise _refused(
            f"This model doesn't support the toolConfig.toolChoice.{kind} field. Remove toolConfig.toolChoice."
            f"{kind} and try again."
        )
    if kind == "tool":
        names = [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"] if "toolSpec" in tool]
        if choice["tool"]["name"] not in names:
            raise _of_model(f"Tool '{choice['tool']['name']}' not found in provided tools")


def _check_claude(body: dict[str, Any], own: dict[str, Any], model: str) -> None:
    _refuse_extraneous(own, _OWN_OF_CLAUDE)
    config = body.get("inferenceConfig") or {}
    version, bare = claude_version(model), model[model.index("claude") :]
    thinking = own.get("thinking") or {}
    if config.get("temperature") is not None and config.get("topP") is not None and ONE_SAMPLER.match(bare):
        raise _of_model("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if version >= (4, 7) and any(name in config for name in ("temperature", "topP")):
        raise _of_model("`temperature` is deprecated for this model.")
    if thinking.get("type") == "enabled" and version >= (4, 7):
        raise _of_model('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".')
    if thinking.get("type") == "adaptive" and version < (4, 6):
        raise _of_model("adaptive thinking is not supported on this model")
    if (body.get("outputConfig") or {}).get("effort") and version < (4, 5):
        raise _refused("This model doesn't support the outputConfig.effort field. Remove the field and try again.")
    choice = next(iter((body.get("toolConfig") or {}).get("toolChoice") or {}), "auto")
    said = {
        "thinking": thinking,
        "max_tokens": config.get("maxTokens", 4096),
        "tool_choice": {"type": choice},
        "messages": [_as_message(message) for message in body["messages"]],
    } | {name: own[name] for name in ("top_k",) if name in own}
    said |= {name: config[sent] for name, sent in (("temperature", "temperature"), ("top_p", "topP")) if sent in config}
    try:
        check_thinking(said, "")
    except RequestRefused as refused:
        raise _of_model(refused.message) from None


def _as_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return the kinds of blocks of a turn by their names in the messages API."""
    names = {"toolUse": "tool_use", "toolResult": "tool_result", "reasoningContent": "thinking"}
    kinds = [names.get(name, name) for block in message["content"] for name in block if name != "cachePoint"]
    return {"role": message["role"], "content": [{"type": kind} for kind in kinds]}


def _check_nova(body: dict[str, Any], own: dict[str, Any], model: str) -> None:
    _refuse_extraneous(own, _OWN_OF_NOVA)
    reasoning = own.get("reasoningConfig")
    if reasoning is None:
        return
    if "nova-2" not in model:
        raise _refused(
            "Malformed input request: #: extraneous key [reasoningConfig] is not permitted, please reformat your "
            "input and try again."
        )
    config = body.get("inferenceConfig") or {}
    if reasoning.get("maxReasoningEffort") == "high" and ({"maxTokens", "temperature", "topP"} & set(config)):
        raise _of_model("temperature, topP and maxTokens must be unset when maxReasoningEffort is high")


def _refuse_extraneous(own: dict[str, Any], known: set[str]) -> None:
    for name in own:
        if name not in known:
            key = f"extraneous key [{name}] is not permitted"
            raise _refused(f"Malformed input request: #: {key}, please reformat your input and try again.")


def _refused(message: str) -> RequestRefused:
    return RequestRefused(message, kind="ValidationException")


def _of_model(message: str) -> RequestRefused:
    return _refused(f"The model returned the following errors: {message}")
