"""Refuse what Google's models refuse, each generation its own.

Sources: Gemini API docs: Thinking, Function calling, Structured output; the error bodies that users quote in the issues
of google-gemini/cookbook (#1290), googleapis/js-genai (#1609), googleapis/python-genai (#1723, #1921) and vercel/ai
(#8943), read on 2026-11-30.
"""

from __future__ import annotations

import re
from typing import Any

from lab.shapes import RequestRefused

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
NEWEST = (99, 0)
THINKS_ALWAYS = "Budget 0 is invalid. This model only works in thinking mode."
NO_JSON_WITH_TOOLS = "Function calling with a response mime type: 'application/json' is unsupported"
NO_SEARCH_WITH_TOOLS = "Tool use with function calling is unsupported"
SEARCH_WITH_TOOLS = (
    "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling."
)
BOTH = "You can only set only one of thinking budget and thinking level."


def version_of(model: str) -> tuple[int, int]:
    """Return the generation of a model, that of the newest for a name that says none."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else NEWEST


def check_gemini_model(body: dict[str, Any], model: str) -> None:
    """Raise ``RequestRefused`` for parameters that ``model`` does not take."""
    config = body.get("generationConfig") or {}
    version = version_of(model)
    if version != (2, 0) and any(config.get(name) for name in ("presencePenalty", "frequencyPenalty")):
        raise RequestRefused("Penalty is not enabled for this model")
    if version >= (3, 0) and config.get("candidateCount", 1) > 1:
        raise RequestRefused("Multiple candidates is not enabled for this model")
    if version > (2, 0) and config.get("responseLogprobs"):
        raise RequestRefused(f"Logprobs is not enabled for models/{model}")
    _check_thinking(config.get("thinkingConfig") or {}, model, version)
    _check_tools(body, config, version)
    made = set(config.get("responseModalities") or ("TEXT",))
    able = {"TEXT", "IMAGE"} if "-image" in model else {"AUDIO"} if "-tts" in model else {"TEXT"}
    if not made <= able:
        listed = ", ".join(config["responseModalities"])
        raise RequestRefused(
            f"The requested combination of response modalities ({listed}) is not supported by the model. "
            f"models/{model} accepts the following combination of response modalities:\n* {', '.join(sorted(able))}\n"
        )


def _check_thinking(config: dict[str, Any], model: str, version: tuple[int, int]) -> None:
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    if budget is not None and level is not None:
        raise RequestRefused(BOTH)
    if level is not None and (version < (3, 0) or level.lower() not in _levels(model, version)):
        raise RequestRefused(f"Thinking level {level.upper()} is not supported for this model.")
    if budget is None:
        if config.get("includeThoughts") and version < (2, 5):
            raise RequestRefused("Thinking is not enabled for this model.")
        return
    if version < (2, 5):
        raise RequestRefused("Thinking budget is not supported for this model.")
    if version >= (3, 0):
        return
    pro = "pro" in model
    if budget == 0 and pro:
        raise RequestRefused(THINKS_ALWAYS)
    least, most = (128, 32_768) if pro else (512 if "lite" in model else 1, 24_576)
    if budget not in (0, -1) and not least <= budget <= most:
        raise RequestRefused(
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}."
        )


def _levels(model: str, version: tuple[int, int]) -> tuple[str, ...]:
    if "-image" in model:
        return () if "pro" in model else ("minimal", "high")
    if "pro" in model:
        return ("low", "high") if version == (3, 0) else ("low", "medium", "high")
    return ("minimal", "low", "medium", "high")


def _check_tools(body: dict[str, Any], config: dict[str, Any], version: tuple[int, int]) -> None:
    tools = body.get("tools") or []
    functions = any(tool.get("functionDeclarations") for tool in tools)
    if not functions:
        return
    if version < (3, 0) and config.get("responseMimeType") == "application/json":
        raise RequestRefused(NO_JSON_WITH_TOOLS)
    if any(set(tool) - {"functionDeclarations"} for tool in tools):
        allowed = (body.get("toolConfig") or {}).get("includeServerSideToolInvocations")
        if version < (3, 0):
            raise RequestRefused(NO_SEARCH_WITH_TOOLS)
        if not allowed:
            raise RequestRefused(SEARCH_WITH_TOOLS)
