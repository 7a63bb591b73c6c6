"""Refuse what OpenAI's reasoning models refuse, and reasoning of the other models.

Source: OpenAI docs: Reasoning models; the error bodies that users quote in the issues of vercel/ai, litellm and autogen
("Unsupported parameter", "Unsupported value"), read on 2026-11-29.
"""

from __future__ import annotations

import re
from typing import Any

from lab.shapes import RequestRefused

_REASONS = re.compile(r"^(o[134](-|$)|gpt-[5-9](?!.*chat)|gpt-5\.\d+-chat|codex-mini)")
_OTHERS = re.compile(r"^(gpt-[34]|gpt-5-chat|chatgpt)")
# Values that these models accept, as they change nothing.
_USUAL: dict[str, Any] = {
    "temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False,
    "top_logprobs": None, "logit_bias": None, "stop": None, "max_tokens": None,
}  # fmt: skip
_EFFORTS = (
    (re.compile(r"^gpt-5(-mini|-nano|-\d{4}.*)?$"), ("minimal", "low", "medium", "high")),
    (re.compile(r"^gpt-5\.1(?!.*(chat|codex|pro))"), ("none", "low", "medium", "high")),
    (re.compile(r"^gpt-(5\.\d+|[6-9])(?!.*(chat|codex|pro))"), ("none", "low", "medium", "high", "xhigh")),
    (re.compile(r"^(o[134]|gpt-5)"), ("low", "medium", "high")),
)


def check_model(body: dict[str, Any]) -> None:
    """Raise ``RequestRefused`` for parameters that the model does not take."""
    model = str(body["model"])
    if _OTHERS.search(model) and body.get("reasoning_effort") is not None:
        message = "Unrecognized request argument supplied: reasoning_effort"
        raise RequestRefused(message, param="reasoning_effort", code=None)
    if not _REASONS.search(model):
        return
    for name, usual in _USUAL.items():
        value = body.get(name)
        if value is None or value == usual:
            continue
        if name == "temperature":
            only = f"'temperature' does not support {value} with this model. Only the default (1) value is supported."
            raise RequestRefused(f"Unsupported value: {only}", param=name, code="unsupported_value")
        instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
        unsupported = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
        raise RequestRefused(unsupported, param=name, code="unsupported_parameter")
    _check_effort(model, body.get("reasoning_effort"))


def _check_effort(model: str, effort: str | None) -> None:
    efforts = next((known for pattern, known in _EFFORTS if pattern.search(model)), ())
    if effort is not None and efforts and effort not in efforts:
        listed = ", ".join(f"'{name}'" for name in efforts[:-1])
        supported = f"Supported values are: {listed}, and '{efforts[-1]}'."
        message = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. {supported}"
        raise RequestRefused(message, param="reasoning_effort", code="unsupported_value")
