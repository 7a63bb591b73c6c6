"""Test that a prompt that is too long is told from other refusals by the providers' sentences."""

from __future__ import annotations

import pytest

from router_service.providers.context_overflow import tells_overflow

TOLD = [
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "prompt is too long: 205668 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "Input is too long for requested model.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]",
    "the request exceeds the available context size, try increasing it",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.",
    "Your request exceeded model token limit: 131072",
    "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    "Input tokens exceed the configured limit of 272000 tokens.",
    "too many tokens: total number of tokens in the prompt exceeds the limit of 4096",
    "Prompt exceeds max length",
    "Prompt 超长",
    "Requested input length 140000 exceeds maximum input length 131072",
    "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
    "Input length (265330) exceeds model's maximum context length (262144).",
    "Prompt too long: 5152 tokens exceeds max_seq_len 2048 (leave room for output tokens)",
    "prompt token count of 140000 exceeds the limit of 128000",
    "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
    "length of prompt_tokens (140000) must be less than max_seq_len (131072).",
    "Input validation error: `inputs` must have less than 4096 tokens. Given: 9000",
]
OTHER = [
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "Unknown parameter: 'context'.",
    "Invalid 'messages[0].name': string too long. Expected a string with maximum length 64",
    "Rate limit reached for model in organization on tokens per minute (TPM)",
    "Current token count exceeds your organization quota",
    "temperature exceeds maximum allowed value",
    "Requests with images are limited to 8000 tokens of output.",
]


@pytest.mark.parametrize("message", TOLD)
def test_an_overflow_is_told_by_its_words(message: str) -> None:
    assert tells_overflow(message)


@pytest.mark.parametrize("message", OTHER)
def test_other_refusals_are_none(message: str) -> None:
    assert not tells_overflow(message)
