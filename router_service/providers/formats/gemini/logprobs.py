"""Translate log probabilities to the shape of the chat dialect.

Source: Gemini API reference: LogprobsResult; OpenAI API reference: Chat completion, logprobs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw


def chat_logprobs(result: Any) -> Raw | None:
    """Return the log probabilities of the chosen tokens and of their alternatives, ``None`` where there are none."""
    if not isinstance(result, dict):
        return None
    chosen, others = result.get("chosenCandidates"), result.get("topCandidates")
    if not isinstance(chosen, list):
        return None
    found: list[dict[str, Any]] = []
    for at, one in enumerate(chosen):
        token = _token(one)
        if token is not None:
            top = others[at] if isinstance(others, list) and at < len(others) else None
            ranked = top.get("candidates") if isinstance(top, dict) else None
            alternatives = [_token(other) for other in ranked] if isinstance(ranked, list) else []
            found.append(token | {"top_logprobs": [other for other in alternatives if other is not None]})
    return Raw(msgspec.json.encode({"content": found})) if found else None


def _token(found: Any) -> dict[str, Any] | None:
    if not isinstance(found, dict) or not isinstance(found.get("token"), str):
        return None
    value = found.get("logProbability")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return {"token": found["token"], "logprob": value, "bytes": list(found["token"].encode(errors="replace"))}
