"""Fit the parameters of sampling to what the vendor takes together.

Sources: Claude API reference: Messages, Create a Message; Claude docs: Extended thinking, feature compatibility;
Migration guide (temperature and top_p together; models without sampling).
"""

from __future__ import annotations

from typing import Any

from router_service.core.generation import Sampling
from router_service.providers.claude_traits import ClaudeTraits

# With thinking the vendor takes values of top_p from here to 1.
_MIN_TOP_P_THINKING = 0.95
# Parameters without a field here, and the value of each that asks for nothing.
_ABSENT: dict[str, Any] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "repetition_penalty": 1,
    "min_p": 0,
    "top_a": 0,
    "seed": None,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
    "n": 1,
}


def claude_sampling_fields(
    sampling: Sampling, *, traits: ClaudeTraits, thinking: bool, dropped: set[str]
) -> dict[str, Any]:
    """Return the fields of ``sampling``; ``thinking`` says whether the model will think."""
    drop_absent(sampling, dropped)
    fields = bounded_fields(sampling)
    if not traits.sampling or thinking:
        refused = set(fields) if not traits.sampling else {"temperature", "top_k"}
        if fields.get("top_p", 1.0) < _MIN_TOP_P_THINKING:
            refused.add("top_p")
        for name in refused & set(fields):
            del fields[name]
            # A temperature and a top_p of 1 are what the model does without them.
            if name == "top_k" or getattr(sampling, name) != 1:
                dropped.add(name)
    elif "temperature" in fields and "top_p" in fields:
        del fields["top_p"]
        dropped.add("top_p")
    stop = [sequence for sequence in sampling.stop if sequence.strip()]
    if len(stop) < len(sampling.stop):
        dropped.add("stop")
    if stop:
        fields["stop_sequences"] = stop
    return fields


def drop_absent(sampling: Sampling, dropped: set[str]) -> None:
    """Report the parameters that neither the messages format nor Converse has a field for."""
    for name, neutral in _ABSENT.items():
        value = getattr(sampling, name)
        if value is not None and value != neutral:
            dropped.add(name)


def bounded_fields(sampling: Sampling) -> dict[str, Any]:
    """Return temperature, top_p and top_k within the bounds of both formats."""
    fields: dict[str, Any] = {}
    if sampling.temperature is not None:
        # The chat dialect's range ends at 2, the vendor's at 1.
        fields["temperature"] = min(max(sampling.temperature, 0), 1)
    if sampling.top_p is not None:
        fields["top_p"] = min(max(sampling.top_p, 0), 1)
    if sampling.top_k is not None and sampling.top_k > 0:
        fields["top_k"] = sampling.top_k
    return fields
