"""Define a request for generated text, apart from how a client wrote it and how a provider wants it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router_service.core.parts import AnyPart, CacheMark, ToolKind

Role = Literal["system", "developer", "user", "assistant", "tool"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Message(msgspec.Struct, kw_only=True):
    """Hold one turn, its parts in order. A tool turn consists of ``ToolResult`` parts."""

    role: Role
    parts: list[AnyPart] = []
    name: str | None = None


class Tool(msgspec.Struct, kw_only=True):
    """Offer a tool. ``schema`` is the JSON schema of a function's arguments, as JSON; ``None`` for none.

    ``raw`` is a custom or hosted tool as ``dialect`` writes it. A hosted tool is run by the provider.
    """

    name: str
    kind: ToolKind = "function"
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    dialect: str | None = None
    raw: msgspec.Raw | None = None


class ToolChoice(msgspec.Struct, kw_only=True):
    """Say whether tools may or must be called; ``name`` is the tool that must be, for ``mode`` ``tool``."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str | None = None
    parallel: bool | None = None


class OutputFormat(msgspec.Struct, kw_only=True, frozen=True):
    """Ask for text in a format; ``schema`` is a JSON schema as JSON, for ``kind`` ``json_schema``."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None


class Sampling(msgspec.Struct, kw_only=True, frozen=True):
    """Hold the parameters of sampling by the chat dialect's names and ranges; ``None`` is not sent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    top_a: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: list[str] = []
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int = 1


class ReasoningOptions(msgspec.Struct, kw_only=True):
    """Ask for reasoning by effort or by a limit in tokens. ``exclude`` keeps it out of the answer."""

    enabled: bool | None = None
    effort: ReasoningEffort | None = None
    max_tokens: int | None = None
    exclude: bool = False
    summary: str | None = None


class GenerationRequest(msgspec.Struct, kw_only=True):
    """Hold a request. ``instructions`` are the leading system turns; later ones stay among ``messages``.

    ``max_tokens`` limits the completion, reasoning included. ``cache`` marks the whole prompt. ``extras`` hold, by
    dialect, top-level fields that the middle does not know, as JSON: they are sent to that dialect alone.
    """

    instructions: list[Message] = []
    messages: list[Message] = []
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    output: OutputFormat = OutputFormat()
    sampling: Sampling = Sampling()
    reasoning: ReasoningOptions | None = None
    max_tokens: int | None = None
    cache: CacheMark | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    modalities: list[str] | None = None
    verbosity: str | None = None
    stream: bool = False
    extras: dict[str, dict[str, Any]] = {}
