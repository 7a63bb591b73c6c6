"""Read the counts of tokens from every place and spelling in which chat providers report them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from router_service.core.events import Metered
from router_service.core.usage import Usage
from router_service.providers.counts import MAX_TOKENS, token_count

TokenCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
_PROMPT = ("prompt_tokens", "input_tokens")
_COMPLETION = ("completion_tokens", "output_tokens")
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")
# Moonshot reports cached_tokens beside the totals, DeepSeek prompt_cache_hit_tokens, gateways Anthropic's names.
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: TokenCount | None = None
    cache_write_tokens: TokenCount | None = None
    cache_creation_tokens: Any = None
    cache_read_input_tokens: Any = None
    prompt_cache_hit_tokens: Any = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: TokenCount | None = None


class DocumentedUsage(msgspec.Struct, gc=False):
    """Hold the documented counts, and those other places of counts that must be empty for them to be all."""

    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None
    total_tokens: TokenCount | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    input_tokens: Any = None
    output_tokens: Any = None
    input_tokens_details: Any = None
    output_tokens_details: Any = None
    cached_tokens: Any = None
    prompt_cache_hit_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_write_tokens: Any = None
    cache_creation_tokens: Any = None
    cache_creation_input_tokens: Any = None
    reasoning_tokens: Any = None

    def has_others(self) -> bool:
        """Return whether there are counts in other places than the documented ones."""
        details = self.prompt_tokens_details
        return not (
            self.input_tokens is self.output_tokens is self.input_tokens_details is self.output_tokens_details is None
            and self.cached_tokens is self.prompt_cache_hit_tokens is self.cache_read_input_tokens is None
            and self.cache_write_tokens is self.cache_creation_tokens is self.cache_creation_input_tokens is None
            and self.reasoning_tokens is None
            and (
                details is None
                or (
                    details.cache_creation_tokens is details.cache_read_input_tokens is None
                    and details.prompt_cache_hit_tokens is None
                )
            )
        )


class UsageMeter:
    """Collect the counts of one answer: per meter the last present, valid value, never lower than an earlier one.

    ``service_tier`` is the tier that was named last.
    """

    __slots__ = ("_cached", "_changed", "_completion", "_prompt", "_reasoning", "_written", "service_tier")

    def __init__(self) -> None:
        self.service_tier: str | None = None
        self._changed = False
        self._prompt: int | None = None
        self._completion: int | None = None
        self._cached: int | None = None
        self._written: int | None = None
        self._reasoning: int | None = None

    def add_documented(self, found: DocumentedUsage) -> None:
        """Add a usage object of the documented types; the first one is read fast."""
        if self._changed or self._prompt is not None or found.has_others():
            self.add(msgspec.to_builtins(found))
            return
        prompt, completion = found.prompt_tokens_details, found.completion_tokens_details
        self._prompt, self._completion = found.prompt_tokens, found.completion_tokens
        if prompt is not None:
            self._cached, self._written = prompt.cached_tokens, prompt.cache_write_tokens
        if completion is not None and completion.reasoning_tokens is not None:
            self._count_reasoning(completion.reasoning_tokens, found.total_tokens)
        self._changed = True

    def _count_reasoning(self, reasoning: int, total: int | None) -> None:
        self._reasoning = reasoning
        prompt, completion = self._prompt, self._completion
        # Some providers, xAI among them, count reasoning apart from the completion.
        if reasoning and prompt is not None and completion is not None and prompt + completion + reasoning == total:
            self._completion = completion + reasoning

    def add(self, found: Any) -> None:
        """Add a usage object. Anything else, and counts that are not possible, are ignored."""
        if not isinstance(found, dict):
            return
        prompt, completion = _count(found, _PROMPT), _count(found, _COMPLETION)
        prompt_details, completion_details = _object(found, _PROMPT_DETAILS), _object(found, _COMPLETION_DETAILS)
        reasoning = _highest(_count(completion_details, ("reasoning_tokens",)), _count(found, ("reasoning_tokens",)))
        total = token_count(found.get("total_tokens"))
        if prompt is not None and completion is not None and reasoning and prompt + completion + reasoning == total:
            # Some providers, xAI among them, count reasoning apart from the completion.
            completion += reasoning
        self._prompt = _highest(self._prompt, prompt)
        self._completion = _highest(self._completion, completion)
        self._cached = _highest(self._cached, _count(prompt_details, _CACHED), _count(found, _CACHED))
        self._written = _highest(self._written, _count(prompt_details, _WRITTEN), _count(found, _WRITTEN))
        self._reasoning = _highest(self._reasoning, reasoning)
        self._changed = True

    def take(self) -> list[Metered]:
        """Return the counts as an event if a usage object has come since the last call, else nothing."""
        if not self._changed:
            return []
        self._changed = False
        if self._prompt is None and self._completion is None:
            return []
        usage = Usage(self._prompt or 0, self._completion or 0, self._cached, self._written, self._reasoning)
        return [Metered(usage, self.service_tier)]


def _count(found: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return _highest(*(token_count(found[name]) for name in names if name in found))


def _object(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return next((value for name in names if isinstance(value := found.get(name), dict)), {})


def _highest(*counts: int | None) -> int | None:
    return max((count for count in counts if count is not None), default=None)
