"""Know what the families of models at Bedrock take through Converse.

Sources, read 2026-11-30: Amazon Bedrock user guide: Supported models and model features, Prompt caching, Structured
outputs; Amazon Bedrock API reference: ToolChoice ("any" and "tool" are for Claude and Nova, "any" for Mistral Large
too), ToolResultBlock; Amazon Nova 2 user guide: Extended thinking; issues of langchain-ai/langchain-aws (#141) and
strands-agents/harness-sdk (#1223) for results and text in one turn.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

import msgspec

from router_service.providers.claude_traits import ClaudeTraits, claude_traits

_SCHEMAS = re.compile(
    r"qwen3|gpt-oss|deepseek\.v3|gemma-3|minimax-m2|mistral-large-3|ministral-3|magistral|voxtral|kimi-k2|nemotron"
)
LEVELS = ("low", "medium", "high")


class ConverseTraits(msgspec.Struct, frozen=True):
    """Hold what differs between families; ``claude`` is set for Claude alone.

    ``reasoning`` says in whose fields it is asked for. ``choices`` are the kinds of ``toolChoice`` beside ``auto``.
    ``mixes_results``: text may stand beside the results of tools, which may say that they are errors. ``caches`` says
    where a prompt may be marked: in the prompt, or in its tools as well.
    """

    claude: ClaudeTraits | None = None
    reasoning: Literal["none", "claude", "nova", "effort"] = "none"
    top_k: Literal["none", "claude", "nova"] = "none"
    choices: frozenset[str] = frozenset()
    mixes_results: bool = False
    caches: Literal["none", "prompt", "all"] = "none"
    native_schema: bool = False
    prefill: bool = False

    @property
    def forces_tools(self) -> bool:
        """Return whether the model can be made to call one tool."""
        return "tool" in self.choices

    @property
    def efforts(self) -> tuple[str, ...]:
        """Return the efforts of ``outputConfig``, which Claude alone has."""
        return self.claude.efforts if self.claude is not None else ()


@functools.lru_cache(maxsize=256)
def converse_traits(upstream_model: str) -> ConverseTraits:
    """Return the traits of a model by its id, its inference profile or its ARN."""
    name = upstream_model.lower()
    if "claude" in name:
        traits = claude_traits(name)
        return ConverseTraits(
            claude=traits,
            reasoning="claude",
            top_k="claude",
            choices=frozenset({"any", "tool"}) if traits.forced_tools else frozenset(),
            mixes_results=True,
            caches="all",
            native_schema=traits.native_schema,
            prefill=traits.prefill,
        )
    if "nova-" in name and "amazon" in name:
        return ConverseTraits(
            reasoning="nova" if "nova-2" in name else "none",
            top_k="nova",
            choices=frozenset({"any", "tool"}),
            mixes_results=True,
            caches="prompt",
        )
    return ConverseTraits(
        reasoning="effort" if "gpt-oss" in name else "none",
        choices=frozenset({"any"}) if "mistral-large" in name else frozenset(),
        native_schema=_SCHEMAS.search(name) is not None,
    )
