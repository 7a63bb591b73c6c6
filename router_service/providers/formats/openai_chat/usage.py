"""Read the counts of tokens from every place and spelling in which chat providers report them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from router_service.core.events import Metered
from router_service.core.usage import Usage
from router_service.providers.counts import MAX_TOKENS, token_count, usd_nano

TokenCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
_PROMPT = ("prompt_tokens", "input_tokens")
_COMPLETION = ("completion_tokens", "output_tokens")
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")
# Moonshot reports cached_tokens beside the totals, Mistral num_cached_tokens, DeepSeek prompt_cache_hit_tokens,
# gateways Anthropic's names.
_CACHED = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
# DashScope and gateways split what was written by lifetime, as Anthropic does.
_WRITTEN_5M, _WRITTEN_1H = ("ephemeral_5m_input_tokens",), ("ephemeral_1h_input_tokens",)
# Perplexity counts searches, xAI the sources that it used.
_SEARCHES = ("num_search_queries", "num_sources_used")
# OpenRouter and DeepSeek count searches as Anthropic does, within an object.
_SEARCH_OBJECTS = ("server_tool_use", "server_tool_use_details")


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: TokenCount | None = None
    cache_write_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None
    image_tokens: TokenCount | None = None
    cache_creation_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_creation: Any = None
    cache_read_input_tokens: Any = None
    prompt_cache_hit_tokens: Any = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None
    image_tokens: TokenCount | None = None


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
    num_cached_tokens: Any = None
    prompt_cache_hit_tokens: Any = None
    prompt_cache_miss_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_write_tokens: Any = None
    cache_creation_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_creation: Any = None
    reasoning_tokens: Any = None
    citation_tokens: Any = None
    num_search_queries: Any = None
    num_sources_used: Any = None
    server_tool_use: Any = None
    server_tool_use_details: Any = None
    cost: Any = None
    cost_details: Any = None
    cost_in_usd_ticks: Any = None
    estimated_cost: Any = None
    is_byok: Any = None

    def has_others(self) -> bool:
        """Return whether there are counts in other places than the documented ones, or of other things than text."""
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        if prompt is not None:
            audio, image = prompt.audio_tokens, prompt.image_tokens
            if (
                audio
                or image
                or prompt != _PromptDetails(prompt.cached_tokens, prompt.cache_write_tokens, audio, image)
            ):
                return True
        if completion is not None and (completion.audio_tokens or completion.image_tokens):
            return True
        return self != DocumentedUsage(
            self.prompt_tokens, self.completion_tokens, self.total_tokens, prompt, completion
        )


class UsageMeter:
    """Collect the counts of one answer: per meter the last present, valid value, never lower than an earlier one.

    ``service_tier`` is the tier that was named last. With ``reasoning_in_total`` the tokens that a total has beyond the
    other counts are reasoning.
    """

    __slots__ = (
        "_cached", "_changed", "_completion", "_in_total", "_more", "_prompt", "_reasoning", "_written", "service_tier",
    )  # fmt: skip

    def __init__(self, reasoning_in_total: bool = False) -> None:
        self.service_tier: str | None = None
        self._in_total = reasoning_in_total
        self._changed = False
        self._prompt: int | None = None
        self._completion: int | None = None
        self._cached: int | None = None
        self._written: int | None = None
        self._reasoning: int | None = None
        # Counts that few answers have, by the names of their fields in Usage.
        self._more: dict[str, int] | None = None

    def add_documented(self, found: DocumentedUsage) -> None:
        """Add a usage object of the documented types; the first one is read fast."""
        told = found.prompt_tokens is not None and found.completion_tokens is not None
        if not told or self._changed or self._prompt is not None or self._in_total or found.has_others():
            self.add(msgspec.to_builtins(found))
            return
        prompt, completion = found.prompt_tokens_details, found.completion_tokens_details
        self._prompt, self._completion = found.prompt_tokens, found.completion_tokens
        if prompt is not None:
            self._cached, self._written = prompt.cached_tokens, prompt.cache_write_tokens
        if completion is not None and completion.reasoning_tokens is not None:
            reasoning = self._reasoning = completion.reasoning_tokens
            if reasoning:
                self._completion = _with_reasoning(self._prompt, self._completion, reasoning, found.total_tokens)
        self._changed = True

    def add(self, found: Any) -> None:
        """Add a usage object. Anything else, and counts that are not possible, are ignored."""
        if not isinstance(found, dict):
            return
        prompt, completion = _count(found, _PROMPT), _count(found, _COMPLETION)
        total = token_count(found.get("total_tokens"))
        of_prompt, of_completion = _object(found, _PROMPT_DETAILS), _object(found, _COMPLETION_DETAILS)
        reasoning = _highest(_count(of_completion, ("reasoning_tokens",)), _count(found, ("reasoning_tokens",)))
        citations = token_count(found.get("citation_tokens"))
        if self._in_total and not reasoning and prompt is not None and total is not None:
            reasoning = max(0, total - prompt - (completion or 0)) or reasoning
            completion = completion or 0
        if prompt is None and completion is not None:
            prompt = _prompt_of(found, total, completion)
        elif completion is None and prompt is not None and total is not None and total > prompt:
            completion = total - prompt
        if prompt is not None and completion is not None:
            # Perplexity's deep research totals neither the citations that it read nor its reasoning.
            apart = bool(citations) and prompt + completion == total
            if apart and reasoning:
                completion += reasoning
            else:
                completion = _with_reasoning(prompt, completion, reasoning, total)
            prompt += citations if citations and apart else 0
        self._prompt = _highest(self._prompt, prompt)
        self._completion = _highest(self._completion, completion)
        self._cached = _highest(self._cached, _count(of_prompt, _CACHED), _count(found, _CACHED))
        self._written = _highest(self._written, _count(of_prompt, _WRITTEN), _count(found, _WRITTEN))
        self._reasoning = _highest(self._reasoning, reasoning)
        self._add_lifetimes(found, of_prompt)
        # A zero says no more than that the format has the field.
        self._add("audio_prompt_tokens", _count(of_prompt, ("audio_tokens",)) or None)
        self._add("image_prompt_tokens", _count(of_prompt, ("image_tokens",)) or None)
        self._add("audio_completion_tokens", _count(of_completion, ("audio_tokens",)) or None)
        self._add("image_completion_tokens", _count(of_completion, ("image_tokens",)) or None)
        searches = [_count(_object(found, (name,)), ("web_search_requests",)) for name in _SEARCH_OBJECTS]
        self._add("web_searches", _highest(_count(found, _SEARCHES), *searches))
        self._add("reported_nano", reported_nano(found))
        self._changed = True

    def _add_lifetimes(self, found: dict[str, Any], of_prompt: dict[str, Any]) -> None:
        for lifetimes in (_object(of_prompt, ("cache_creation",)), _object(found, ("cache_creation",))):
            hour, minutes = _count(lifetimes, _WRITTEN_1H), _count(lifetimes, _WRITTEN_5M)
            self._add("cache_write_1h_tokens", hour)
            if hour is not None or minutes is not None:
                self._written = _highest(self._written, (hour or 0) + (minutes or 0))

    def _add(self, field: str, count: int | None) -> None:
        if count is not None:
            if self._more is None:
                self._more = {}
            self._more[field] = max(count, self._more.get(field, 0))

    def take(self) -> list[Metered]:
        """Return the counts as an event if a usage object has come since the last call, else nothing."""
        if not self._changed:
            return []
        self._changed = False
        if self._prompt is None and self._completion is None:
            return []
        cached = self._cached
        if cached is not None and self._prompt is not None and cached > self._prompt:
            # No more can have been read from the cache than the prompt has.
            cached = self._prompt
        usage = Usage(self._prompt or 0, self._completion or 0, cached, self._written, self._reasoning)
        if self._more:
            usage = msgspec.structs.replace(usage, **self._more)
        return [Metered(usage, self.service_tier)]


def _with_reasoning(prompt: int | None, completion: int | None, reasoning: int | None, total: int | None) -> int | None:
    """Return the completion's tokens with its reasoning, which some providers, xAI among them, count apart."""
    if not reasoning or completion is None:
        return completion
    # Without a total, more reasoning than completion cannot be a part of it.
    apart = reasoning > completion if total is None else (prompt or 0) + completion + reasoning == total
    return completion + reasoning if apart else completion


def _count(found: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return _highest(*(token_count(found[name]) for name in names if name in found))


def _prompt_of(found: dict[str, Any], total: int | None, completion: int) -> int | None:
    """Return the prompt's tokens where they are not told: DeepSeek's two parts of them, or what the total leaves."""
    hit, missed = (token_count(found.get(f"prompt_cache_{kind}_tokens")) for kind in ("hit", "miss"))
    if hit is not None and missed is not None:
        return hit + missed
    return total - completion if total is not None and total >= completion else None


def _object(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return next((value for name in names if isinstance(value := found.get(name), dict)), {})


def _highest(*counts: int | None) -> int | None:
    return max((count for count in counts if count is not None), default=None)


def reported_nano(found: dict[str, Any]) -> int | None:
    """Return the cost that the provider itself states, nano-USD.

    OpenRouter states USD, and of a client's own key its fee apart from the vendor's price; Perplexity states an object
    with the total, xAI ticks of 1e-10 USD, DeepInfra an estimate.
    """
    cost = found.get("cost")
    if isinstance(cost, dict):
        return usd_nano(cost.get("total_cost"))
    nano = usd_nano(cost)
    if nano is not None and found.get("is_byok") is True:
        nano += usd_nano(_object(found, ("cost_details",)).get("upstream_inference_cost")) or 0
    if nano is None:
        nano = usd_nano(found.get("cost_in_usd_ticks"), per_usd=10_000_000_000)
    return usd_nano(found.get("estimated_cost")) if nano is None else nano
