"""Recognise the sentences with which providers refuse a prompt that is longer than a model's context."""

from __future__ import annotations

import re

# Patterns within messages in lower case, each with a server that words it so without a code that says the same.
_OVERFLOWS = re.compile(
    "|".join(
        (
            r"context.{0,200}length|length.{0,200}context",  # OpenAI, vLLM, SGLang, LM Studio, OpenRouter
            r"context window",  # Groq, MiniMax, LM Studio
            r"context[ _](?:size|limit)",  # llama.cpp, Anthropic
            r"prompt is too long",  # Anthropic's words, as gateways pass them on
            r"input is too long",  # Bedrock
            r"too many tokens",  # Cohere
            r"exceeds the maximum number of tokens",  # Gemini
            r"maximum prompt length",  # xAI
            r"reduce the length of the (?:messages|prompt|input)",  # Groq, Cerebras
            r"`inputs` tokens \+ `max_new_tokens` must be",  # TGI, Together
            r"range of input length should be",  # Alibaba
            r"(?:exceeded|exceeds) (?:the )?model token limit",  # Moonshot
            r"input tokens exceed",  # OpenAI
            r"prompt tokens? (?:exceeded|exceeds?)|prompt exceeds|prompt 超长",  # Z.AI and gateways
            r"(?:input|prompt)[ _]length.{0,60}exceeds",  # DeepInfra, Poolside, GLM behind gateways
            r"prompt too long",  # Ollama, Atlas
            r"prompt token count of [\d,]+ exceeds",  # GitHub Models and Copilot
            r"maximum model length|less than max_seq_len",  # vLLM, SiliconFlow
            r"`inputs` must have less than",  # TGI
        )
    ),
    re.DOTALL,
)


def tells_overflow(message: str) -> bool:
    """Return whether a provider's ``message`` says that a prompt exceeds the context. Messages are bounded."""
    return _OVERFLOWS.search(message.lower()) is not None
