"""The catalogue is the real one, joined by rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.catalogue import load_catalogue
from data.catalogue.names import resolve_name

REFERENCE = Path(__file__).parents[2] / "shared/datasets/openrouter_models/openrouter_models.json"

# provider, its name for the model, canonical name, quantization, serving suffix: checked by hand
PAIRS = [
    ("fireworks-ai", "accounts/fireworks/models/deepseek-v3p1", "deepseek/deepseek-v3.1", "unknown", None),
    ("fireworks-ai", "accounts/fireworks/models/minimax-m2p5", "minimax/minimax-m2.5", "unknown", None),
    ("togetherai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "meta-llama/llama-3.3-70b-instruct", "unknown", "turbo"),
    ("groq", "llama-3.3-70b-versatile", "meta-llama/llama-3.3-70b-instruct", "unknown", None),
    ("groq", "llama-3.1-8b-instant", "meta-llama/llama-3.1-8b-instruct", "unknown", None),
    ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b", "unknown", None),
    ("chutes", "MiniMaxAI/MiniMax-M2.5-TEE", "minimax/minimax-m2.5", "unknown", "tee"),
    ("nebius", "MiniMaxAI/MiniMax-M2.5-fast", "minimax/minimax-m2.5", "unknown", "fast"),
    ("anthropic", "claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku-20241022", "unknown", None),
    ("anthropic", "claude-haiku-4-5", "anthropic/claude-haiku-4.5", "unknown", None),
    ("deepinfra", "deepseek-ai/DeepSeek-V3-0324", "deepseek/deepseek-v3-0324", "unknown", None),
    ("deepinfra", "Qwen/Qwen2.5-72B-Instruct", "qwen/qwen-2.5-72b-instruct", "unknown", None),
    ("baseten", "moonshotai/Kimi-K2-Thinking", "moonshotai/kimi-k2-thinking", "unknown", None),
    ("togetherai", "zai-org/GLM-4.6", "z-ai/glm-4.6", "unknown", None),
    ("novita-ai", "zai-org/glm-4.5-air", "z-ai/glm-4.5-air", "unknown", None),
    ("togetherai", "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen/qwen3-coder-480b-a35b-instruct", "fp8", None),
    ("amazon-bedrock", "us.anthropic.claude-haiku-4-5", "anthropic/claude-haiku-4.5", "unknown", None),
    ("mistral", "mistral-large-latest", "mistralai/mistral-large", "unknown", None),
    (
        "deepinfra",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
        "deepseek/deepseek-r1-distill-llama-70b",
        "unknown",
        None,
    ),
    ("xai", "grok-4-fast", "x-ai/grok-4-fast", "unknown", None),
    ("openai", "gpt-4-turbo", "openai/gpt-4-turbo", "unknown", None),
]


@pytest.mark.parametrize(("provider", "name", "canonical", "quantization", "serving"), PAIRS)
def test_hard_names(provider: str, name: str, canonical: str, quantization: str, serving: str | None) -> None:
    found = resolve_name(provider, name)
    assert found is not None
    assert (found.canonical, found.quantization, found.serving) == (canonical, quantization, serving)


def test_it_is_large_and_every_live_endpoint_is_complete() -> None:
    catalogue = load_catalogue()
    live = [e for offers in catalogue.endpoints.values() for e in offers if e.enabled]
    assert len({e.model for e in live}) > 350
    assert len({e.provider for e in live}) > 55
    assert len({e.id for offers in catalogue.endpoints.values() for e in offers}) == sum(
        map(len, catalogue.endpoints.values())
    )
    for endpoint in live:
        assert endpoint.price is not None
        assert endpoint.base_url
        assert endpoint.context_length > 0
        assert endpoint.free == (endpoint.price.prompt == 0 and endpoint.price.completion == 0)


def test_resellers_and_flat_rates_are_off() -> None:
    endpoints = [e for offers in load_catalogue().endpoints.values() for e in offers]
    assert {e.disabled_reason for e in endpoints if e.provider == "openrouter"} == {"aggregator"}
    assert {e.disabled_reason for e in endpoints if e.provider == "zai-coding-plan"} == {"no_price"}
    assert all(e.price is None for e in endpoints if e.provider == "zai-coding-plan")


def test_most_of_the_references_models_are_found() -> None:
    if not REFERENCE.exists():
        pytest.skip("the reference's model list is not on this machine")
    wanted = {m["id"].split(":")[0] for m in json.loads(REFERENCE.read_text())["data"]}
    assert len(wanted & set(load_catalogue().models)) / len(wanted) > 0.75
