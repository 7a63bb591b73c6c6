"""Refuse what OpenAI's models refuse in the Responses API.

Sources: OpenAI docs: Reasoning models, and the page of each model; the error bodies that users quote in the issues of
pydantic-ai (#2865), litellm, vercel/ai and openai-python (#2364), read on 2026-11-29.
"""

from __future__ import annotations

import re
from typing import Any

from lab.responses_history import item_type
from lab.shapes import RequestRefused

_REASON = re.compile(r"^(o[134](-|$)|gpt-[5-9](?!.*chat)|codex-mini)")
_DO_NOT = re.compile(r"^(gpt-[34]|gpt-5(\.\d+)?-chat|chatgpt)")
_WITHOUT = ("temperature", "top_p", "top_logprobs")
_EFFORTS_OF = (
    (re.compile(r"deep-research"), ("medium",)),
    (re.compile(r"^gpt-5-pro"), ("high",)),
    (re.compile(r"^gpt-(5\.\d+|[6-9])-pro"), ("medium", "high", "xhigh")),
    (re.compile(r"^gpt-(5\.1-codex-max|5\.[2-9]-codex)"), ("low", "medium", "high", "xhigh")),
    (re.compile(r"codex"), ("low", "medium", "high")),
    (re.compile(r"^gpt-5(-mini|-nano|-\d{4}.*)?$"), ("minimal", "low", "medium", "high")),
    (re.compile(r"^gpt-5\.1$"), ("none", "low", "medium", "high")),
    (re.compile(r"^gpt-(5\.\d+|[6-9])"), ("none", "low", "medium", "high", "xhigh")),
    (re.compile(r"^o[134]"), ("low", "medium", "high")),
)
NO_REASONING_ITEMS = (
    "Reasoning input items can only be provided to a reasoning or computer use model. Remove reasoning items from your "
    "input and try again."
)


def check_responses_model(body: dict[str, Any]) -> None:
    """Raise ``RequestRefused`` for parameters and items that the model does not take."""
    model = str(body["model"])
    reasoning = body.get("reasoning") or {}
    if _DO_NOT.search(model):
        for name in ("effort", "summary"):
            if reasoning.get(name) is not None:
                raise _unsupported(f"reasoning.{name}")
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            raise RequestRefused("Encrypted content is not supported with this model.", param="include")
        items = body["input"] if isinstance(body["input"], list) else []
        if any(item_type(item) == "reasoning" for item in items):
            raise RequestRefused(NO_REASONING_ITEMS, param="input")
    if not _REASON.search(model):
        return
    for name in _WITHOUT:
        value = body.get(name)
        if value is not None and not (name != "top_logprobs" and value == 1) and value != 0:
            raise _unsupported(name)
    effort = reasoning.get("effort")
    known = next((efforts for pattern, efforts in _EFFORTS_OF if pattern.search(model)), ())
    if effort is not None and known and effort not in known:
        supported = f"Supported values are: {', '.join(repr(name) for name in known)}."
        message = f"Unsupported value: '{effort}' is not supported with the '{model}' model. {supported}"
        raise RequestRefused(message, param="reasoning.effort", code="unsupported_value")


def _unsupported(name: str) -> RequestRefused:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return RequestRefused(message, param=name, code="unsupported_parameter")
