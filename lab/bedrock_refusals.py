"""Refuse what Amazon Bedrock refuses of a Converse request, with its status and sentences.

Sources of the sentences: the constraint violations of AWS JSON services; the error bodies that users quote in issues of
langchain-ai/langchain-aws (#130, #141, #192), langgenius/dify (#16421), RooCodeInc/Roo-Code (#248) and
aws-samples/sample-multi-agent-orchestration-chat-on-agentcore (#15), read on 2026-11-30. For names of documents, marks
of caches and values of models the documentation names the status; their sentences are the lab's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lab.bedrock_fields import CONVERSE_REQUEST
from lab.bedrock_history import check_conversation
from lab.bedrock_models import check_bedrock_model
from lab.shapes import Path, RequestRefused, check
from lab.signatures import Signatures

VALIDATION = "ValidationException"
_TYPES = {
    "array": "List", "boolean": "Boolean", "decimal": "Float", "integer": "Integer", "object": "Structure",
    "string": "String",
}  # fmt: skip


def refuse_converse(body: dict[str, Any], model: str, signatures: Signatures) -> None:
    """Raise ``RequestRefused`` if Bedrock would refuse this request."""
    check(CONVERSE_REQUEST, body, (), AmazonVocabulary())
    _check_unions(body, ())
    check_conversation(body, model, signatures)
    check_bedrock_model(body, model)


def _check_unions(value: Any, path: Path) -> None:
    """Refuse a source and a choice with more or fewer than one member."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name in ("source", "toolChoice", "inputSchema") and isinstance(one, dict) and len(one) != 1:
                raise violation((*path, name), "Member must have exactly one member set")
            if name not in ("input", "json", "additionalModelRequestFields"):
                _check_unions(one, (*path, name))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _check_unions(one, (*path, index))


class AmazonVocabulary:
    """Implement ``Vocabulary`` with the sentences of AWS JSON services."""

    def missing(self, path: Path) -> RequestRefused:
        return violation(path, "Member must not be null")

    def unknown(self, path: Path) -> RequestRefused:
        key = f"extraneous key [{path[-1]}] is not permitted"
        return RequestRefused(
            f"Malformed input request: #: {key}, please reformat your input and try again.", kind=VALIDATION
        )

    def wrong_type(self, path: Path, wanted: Sequence[str], value: Any) -> RequestRefused:
        kind = _TYPES[wanted[0].split(" ")[0]]
        message = f"{type(value).__name__.upper()}_VALUE cannot be converted to {kind} at {member(path)}"
        return RequestRefused(message, kind="SerializationException")

    def below(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return violation(path, f"Member must have value greater than or equal to {bound}")

    def above(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return violation(path, f"Member must have value less than or equal to {bound}")

    def not_one_of(self, path: Path, value: Any, choices: Sequence[str]) -> RequestRefused:
        return violation(path, f"Member must satisfy enum value set: [{', '.join(choices)}]")

    def bad_tag(self, path: Path, key: str, value: Any, choices: Sequence[str]) -> RequestRefused:
        return self.not_one_of((*path, key), value, choices)

    def length(self, path: Path, kind: str, length: int, least: int, most: int | None) -> RequestRefused:
        if length < least:
            return violation(path, f"Member must have length greater than or equal to {least}")
        return violation(path, f"Member must have length less than or equal to {most}")

    def mismatch(self, path: Path, pattern: str) -> RequestRefused:
        return violation(path, f"Member must satisfy regular expression pattern: {pattern.strip('^$')}")


def member(path: Path) -> str:
    """Return ``messages.1.member.content`` for its steps, as AWS names members."""
    steps = [f"{step + 1}.member" if isinstance(step, int) else str(step) for step in path]
    return re.sub(r"\.member$", ".member", ".".join(steps))


def violation(path: Path, constraint: str) -> RequestRefused:
    """Return the refusal of a value that breaks a constraint."""
    found = f"Value at '{member(path)}' failed to satisfy constraint: {constraint}"
    return RequestRefused(f"1 validation error detected: {found}", kind=VALIDATION)
