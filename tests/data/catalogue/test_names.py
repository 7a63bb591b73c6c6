"""Names of providers resolve to canonical models, and similar names of other weights stay apart."""

from __future__ import annotations

import pytest

from data.catalogue.load import rows_in_source
from data.catalogue.names import resolve_name

ROWS = frozenset(rows_in_source())

# provider, its name for the model, canonical name, quantization, serving suffix: checked by hand
PAIRS = [
    # quantized
    ("fireworks-ai", "accounts/fireworks/models/deepseek-v3p1", "deepseek/deepseek-chat-v3.1", "unknown", None),
    ("togetherai", "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen/qwen3-coder", "fp8", None),
    ("io-net", "Intel/Qwen3-Coder-480B-A35B-Instruct-int4-mixed-ar", "qwen/qwen3-coder", "int4", None),
    ("stackit", "cortecs/Llama-3.3-70B-Instruct-FP8-Dynamic", "meta-llama/llama-3.3-70b-instruct", "fp8", None),
    ("stackit", "neuralmagic/Mistral-Nemo-Instruct-2407-FP8", "mistralai/mistral-nemo", "fp8", None),
    ("evroc", "nvidia/Llama-3.3-70B-Instruct-FP8", "meta-llama/llama-3.3-70b-instruct", "fp8", None),
    ("cloudflare-workers-ai", "@cf/meta/llama-3.1-8b-instruct-awq", "meta-llama/llama-3.1-8b-instruct", "int4", None),
    ("cloudflare-workers-ai", "@cf/meta/llama-2-7b-chat-fp16", "meta-llama/llama-2-7b-chat", "fp16", None),
    ("synthetic", "hf:nvidia/Kimi-K2.5-NVFP4", "moonshotai/kimi-k2.5", "nvfp4", None),
    ("wandb", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", "nvidia/nemotron-3-super-120b-a12b", "fp8", None),
    ("vultr", "GLM-5-FP8", "z-ai/glm-5", "fp8", None),
    ("novita-ai", "qwen/qwen3-235b-a22b-fp8", "qwen/qwen3-235b-a22b", "fp8", None),
    ("atomic-chat", "Qwen3_5-9B-Q4_K_M", "qwen/qwen3.5-9b", "int4", None),
    # dated
    ("anthropic", "claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku-20241022", "unknown", None),
    ("google-vertex", "claude-opus-4-1@20250805", "anthropic/claude-opus-4.1-20250805", "unknown", None),
    ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o-2024-08-06", "unknown", None),
    ("deepinfra", "deepseek-ai/DeepSeek-R1-0528", "deepseek/deepseek-r1-0528", "unknown", None),
    ("moonshotai", "kimi-k2-0905-preview", "moonshotai/kimi-k2-0905", "unknown", None),
    ("moonshotai", "kimi-k2-0711-preview", "moonshotai/kimi-k2", "unknown", None),
    ("mistral", "mistral-medium-2508", "mistralai/mistral-medium-3.1", "unknown", None),
    ("mistral", "mistral-small-2506", "mistralai/mistral-small-3.2-24b-instruct", "unknown", None),
    ("cohere", "command-a-03-2025", "cohere/command-a", "unknown", None),
    ("xai", "grok-4.20-0309-reasoning", "x-ai/grok-4.20", "unknown", None),
    ("abacus", "grok-4-0709", "x-ai/grok-4", "unknown", None),
    # faster or otherwise separate copies
    ("togetherai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "meta-llama/llama-3.3-70b-instruct", "unknown", "turbo"),
    ("novita-ai", "deepseek/deepseek-r1-turbo", "deepseek/deepseek-r1", "unknown", "turbo"),
    ("moonshotai", "kimi-k2-thinking-turbo", "moonshotai/kimi-k2-thinking", "unknown", "turbo"),
    ("nebius", "MiniMaxAI/MiniMax-M2.5-fast", "minimax/minimax-m2.5", "unknown", "fast"),
    ("nebius", "openai/gpt-oss-120b-fast", "openai/gpt-oss-120b", "unknown", "fast"),
    ("neuralwatt", "qwen3.5-397b-fast", "qwen/qwen3.5-397b-a17b", "unknown", "fast"),
    ("minimax", "MiniMax-M2.7-highspeed", "minimax/minimax-m2.7", "unknown", "highspeed"),
    ("chutes", "MiniMaxAI/MiniMax-M2.5-TEE", "minimax/minimax-m2.5", "unknown", "tee"),
    ("chutes", "google/gemma-4-31B-turbo-TEE", "google/gemma-4-31b-it", "unknown", "turbo-tee"),
    ("togetherai", "Qwen/Qwen3-235B-A22B-Instruct-2507-tput", "qwen/qwen3-235b-a22b-2507", "unknown", "tput"),
    ("siliconflow-cn", "Pro/moonshotai/Kimi-K2.6", "moonshotai/kimi-k2.6", "unknown", "pro"),
    ("siliconflow", "Qwen/Qwen2.5-72B-Instruct-128K", "qwen/qwen-2.5-72b-instruct", "unknown", "128k"),
    (
        "cloudflare-workers-ai",
        "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
        "meta-llama/llama-3.3-70b-instruct",
        "fp8",
        "fast",
    ),
    # regional
    (
        "amazon-bedrock",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic/claude-haiku-4.5-20251001",
        "unknown",
        "us",
    ),
    ("amazon-bedrock", "eu.anthropic.claude-opus-4-7", "anthropic/claude-opus-4.7", "unknown", "eu"),
    ("amazon-bedrock", "jp.anthropic.claude-sonnet-4-6", "anthropic/claude-sonnet-4.6", "unknown", "jp"),
    ("amazon-bedrock", "us.meta.llama4-scout-17b-instruct-v1:0", "meta-llama/llama-4-scout", "unknown", "us"),
    ("amazon-bedrock", "us.deepseek.r1-v1:0", "deepseek/deepseek-r1", "unknown", "us"),
    ("google-vertex", "zai-org/glm-5-maas", "z-ai/glm-5", "unknown", "maas"),
    # re-hosted and re-spelled
    ("groq", "llama-3.1-8b-instant", "meta-llama/llama-3.1-8b-instruct", "unknown", None),
    ("cerebras", "llama3.1-8b", "meta-llama/llama-3.1-8b-instruct", "unknown", None),
    ("cerebras", "zai-glm-4.7", "z-ai/glm-4.7", "unknown", None),
    ("digitalocean", "anthropic-claude-4.5-haiku", "anthropic/claude-haiku-4.5", "unknown", None),
    ("digitalocean", "alibaba-qwen3-32b", "qwen/qwen3-32b", "unknown", None),
    ("venice", "openai-gpt-52-codex", "openai/gpt-5.2-codex", "unknown", None),
    ("venice", "zai-org-glm-5-1", "z-ai/glm-5.1", "unknown", None),
    ("venice", "qwen3-5-397b-a17b", "qwen/qwen3.5-397b-a17b", "unknown", None),
    ("venice", "minimax-m27", "minimax/minimax-m2.7", "unknown", None),
    ("baseten", "nvidia/Nemotron-120B-A12B", "nvidia/nemotron-3-super-120b-a12b", "unknown", None),
    ("ovhcloud", "meta-llama-3_3-70b-instruct", "meta-llama/llama-3.3-70b-instruct", "unknown", None),
    ("clarifai", "moonshotai/chat-completion/models/Kimi-K2_6", "moonshotai/kimi-k2.6", "unknown", None),
    ("amazon-bedrock", "openai.gpt-oss-20b-1:0", "openai/gpt-oss-20b", "unknown", None),
    ("chutes", "unsloth/gemma-3-27b-it", "google/gemma-3-27b-it", "unknown", None),
    ("databricks", "databricks-gpt-5-4-mini", "openai/gpt-5.4-mini", "unknown", None),
    ("novita-ai", "sao10K/l31-70b-euryale-v2.2", "sao10k/l3.1-euryale-70b", "unknown", None),
    ("inference", "qwen/qwen-2.5-7b-vision-instruct", "qwen/qwen2.5-vl-7b-instruct", "unknown", None),
    # one name, other weights
    ("deepseek", "deepseek-chat", "deepseek/deepseek-v4-flash", "unknown", None),
    ("kilo", "deepseek/deepseek-chat", "deepseek/deepseek-chat", "unknown", None),
    ("zenmux", "deepseek/deepseek-chat", "deepseek/deepseek-v3.2", "unknown", None),
    ("siliconflow", "deepseek-ai/DeepSeek-R1", "deepseek/deepseek-r1-0528", "unknown", None),
    ("mistral", "mistral-large-latest", "mistralai/mistral-large-2512", "unknown", None),
    # models of their own in spite of their suffix
    ("openai", "gpt-4-turbo", "openai/gpt-4-turbo", "unknown", None),
    ("alibaba", "qwen-turbo", "qwen/qwen-turbo", "unknown", None),
    ("chutes", "zai-org/GLM-5-Turbo", "z-ai/glm-5-turbo", "unknown", None),
    ("morph", "morph-v3-fast", "morph/morph-v3-fast", "unknown", None),
]

# two names that look alike and are other weights
APART = [
    ("google", "gemini-2.5-flash", "google", "gemini-2.5-flash-lite"),
    ("openai", "gpt-5", "openai", "gpt-5-mini"),
    ("openai", "gpt-5.4", "openai", "gpt-5.4-pro"),
    ("kilo", "bytedance-seed/seed-2.0-lite", "kilo", "bytedance-seed/seed-2.0-mini"),
    ("qiniu-ai", "meituan/longcat-flash-lite", "qiniu-ai", "meituan/longcat-flash-chat"),
    ("morph", "morph-v3-fast", "morph", "morph-v3-large"),
    ("openai", "gpt-4o-2024-05-13", "openai", "gpt-4o-2024-11-20"),
    ("anthropic", "claude-3-5-sonnet-20240620", "anthropic", "claude-3-5-sonnet-20241022"),
    ("novita-ai", "deepseek/deepseek-v3-0324", "novita-ai", "deepseek/deepseek-v3.1"),
    ("siliconflow", "deepseek-ai/DeepSeek-V3.1", "siliconflow", "deepseek-ai/DeepSeek-V3.1-Terminus"),
    ("siliconflow", "deepseek-ai/DeepSeek-V3.1", "siliconflow", "nex-agi/DeepSeek-V3.1-Nex-N1"),
    ("siliconflow", "Qwen/Qwen3-VL-8B-Instruct", "siliconflow", "Qwen/Qwen3-VL-8B-Thinking"),
    ("nano-gpt", "huihui-ai/Llama-3.3-70B-Instruct-abliterated", "nano-gpt", "meta-llama/llama-3.3-70b-instruct"),
    ("wandb", "OpenPipe/Qwen3-14B-Instruct", "alibaba", "qwen3-14b"),
    ("novita-ai", "zai-org/glm-4.5", "novita-ai", "zai-org/glm-4.5-air"),
    ("moonshotai", "kimi-k2-0711-preview", "moonshotai", "kimi-k2-0905-preview"),
    ("deepinfra", "deepseek-ai/DeepSeek-R1-0528", "novita-ai", "deepseek/deepseek-r1-turbo"),
    ("302ai", "claude-opus-4-5", "anthropic", "claude-opus-4-1"),
    ("mistral", "mistral-large-2411", "mistral", "mistral-large-latest"),
    ("kilo", "mistralai/mistral-large", "mistral", "mistral-large-latest"),
    ("openai", "gpt-4", "openai", "gpt-4-turbo"),
]


@pytest.mark.parametrize(("provider", "name", "canonical", "quantization", "serving"), PAIRS)
def test_hard_names(provider: str, name: str, canonical: str, quantization: str, serving: str | None) -> None:
    assert f"{provider}:{name}" in ROWS
    found = resolve_name(provider, name)
    assert found is not None
    assert (found.canonical, found.quantization, found.serving) == (canonical, quantization, serving)


@pytest.mark.parametrize(("provider", "name", "other_provider", "other"), APART)
def test_names_that_stay_apart(provider: str, name: str, other_provider: str, other: str) -> None:
    assert {f"{provider}:{name}", f"{other_provider}:{other}"} <= ROWS
    first, second = resolve_name(provider, name), resolve_name(other_provider, other)
    assert first is not None
    assert second is not None
    assert first.canonical != second.canonical


def test_there_are_enough_hard_names() -> None:
    assert len(set(PAIRS)) >= 50
    assert len(set(APART)) >= 12
