"""Test that the lab embeds as OpenAI does, and refuses what OpenAI refuses."""

from __future__ import annotations

import math
from typing import Any

import httpx2
import openai
import pytest

from lab.embeddings import unit_vector

INVALID = "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."


def test_a_text_has_one_unit_vector(openai_sdk: openai.OpenAI) -> None:
    first, second = (
        openai_sdk.embeddings.create(model="text-embedding-3-small", input=["one", "two", "one"]).data for _ in range(2)
    )
    assert first[0].embedding == first[2].embedding == second[0].embedding != first[1].embedding
    assert math.sqrt(sum(one * one for one in first[0].embedding)) == pytest.approx(1, abs=1e-6)
    assert len(first[0].embedding) == 1536


@pytest.mark.parametrize(
    ("fields", "status", "code", "sentence"),
    [
        ({"input": ["a"] * 2049}, 400, None, INVALID),
        ({"input": [""]}, 400, None, INVALID),
        ({"input": []}, 400, None, INVALID),
        (
            {"model": "text-embedding-ada-002", "dimensions": 8}, 400, None,
            "This model does not support specifying dimensions.",
        ),
        ({"dimensions": 1537}, 400, None, "Invalid value for 'dimensions' = 1537. Must be less than or equal to 1536."),
        (
            {"model": "text-embedding-9"}, 404, "model_not_found",
            "The model `text-embedding-9` does not exist or you do not have access to it.",
        ),
        (
            {"input": [1] * 8193}, 400, None,
            "This model's maximum context length is 8192 tokens, however you requested 8193 tokens (8193 in your "
            "prompt; 0 for the completion). Please reduce your prompt; or completion length.",
        ),
        ({"input_type": "query"}, 400, "unknown_parameter", "Unknown parameter: 'input_type'."),
    ],
)  # fmt: skip
def test_the_vendors_refusals(
    quiet_lab_url: str, fields: dict[str, Any], status: int, code: str | None, sentence: str
) -> None:
    body = {"model": "text-embedding-3-small", "input": "a"} | fields
    found = httpx2.post(f"{quiet_lab_url}/openai/v1/embeddings", json=body, headers={"authorization": "Bearer key"})
    error = found.json()["error"]
    assert (found.status_code, error["code"], error["message"]) == (status, code, sentence)


def test_a_vector_is_one_for_each_number_of_dimensions() -> None:
    assert unit_vector("one", 8) == unit_vector("one", 8) != unit_vector("one", 9)[:8]
