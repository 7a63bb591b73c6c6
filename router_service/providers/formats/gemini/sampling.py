"""Translate the parameters of sampling.

Source: Gemini API reference: GenerationConfig; issues of googleapis/python-genai (#1723, #1921) for what models refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router_service.core.generation import Sampling

MAX_STOPS = 5
MAX_TOP_K = 64
_INT32 = 2**31
MAX_LOGPROBS = 20
# Parameters without a field here, and the value of each that asks for nothing.
_ABSENT: dict[str, Any] = {"repetition_penalty": 1, "min_p": 0, "top_a": 0, "logit_bias": {}, "n": 1}
_PENALTIES = {"frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty"}


def sampling_fields(
    sampling: Sampling, *, penalties: bool, takes: Callable[[str], bool], dropped: set[str]
) -> dict[str, Any]:
    """Return the fields of ``generationConfig``. ``takes`` says whether the model has a parameter at all."""
    for name, neutral in _ABSENT.items():
        value = getattr(sampling, name)
        if value is not None and value != neutral:
            dropped.add(name)
    fields: dict[str, Any] = {}
    if sampling.temperature is not None:
        fields["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        fields["topP"] = sampling.top_p
    if sampling.top_k is not None and sampling.top_k > 0:
        fields["topK"] = min(sampling.top_k, MAX_TOP_K)
        if sampling.top_k > MAX_TOP_K:
            dropped.add("top_k")
    for name, sent in _PENALTIES.items():
        value = getattr(sampling, name)
        if value and penalties:
            fields[sent] = value
        elif value:
            dropped.add(name)
    if sampling.seed is not None:
        # The field has 32 bits. One seed always becomes the same one, which is all that it is for.
        fields["seed"] = sampling.seed if -_INT32 <= sampling.seed < _INT32 else sampling.seed % _INT32
    stops = [sequence for sequence in sampling.stop if sequence]
    if stops:
        fields["stopSequences"] = stops[:MAX_STOPS]
    if len(sampling.stop) > len(stops[:MAX_STOPS]):
        dropped.add("stop")
    return fields | _logprobs(sampling, takes, dropped)


def _logprobs(sampling: Sampling, takes: Callable[[str], bool], dropped: set[str]) -> dict[str, Any]:
    if not sampling.logprobs:
        return {}
    top = sampling.top_logprobs or 0
    if not takes("logprobs"):
        dropped |= {"logprobs"} | ({"top_logprobs"} if top else set())
        return {}
    return {"responseLogprobs": True} | ({"logprobs": min(top, MAX_LOGPROBS)} if top else {})
