"""Imitate how Azure and Cloudflare differ from OpenAI in what they answer.

Sources, read on 2026-11-30: Azure docs, "Content streaming" and "Content filtering, annotations"; Cloudflare docs,
Workers AI, "Errors".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.account_paths import cloudflare_refusal
from lab.openai_embeddings import OpenAIEmbeddingsWire
from lab.openai_wire import OpenAIWire
from lab.script import Script
from lab.shapes import RequestRefused
from lab.text import Completion

_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_PROMPT = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]}
# The router has to read a response with a first chunk without choices, whose other fields are empty.
_FIRST = {"choices": [], "created": 0, "id": "", "model": "", "object": ""} | _PROMPT
_DATA = b"data: "


class AzureChatWire(OpenAIWire):
    """Implement ``Wire`` for Azure OpenAI: results of content filters stand in every response."""

    def whole(self, completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return _filtered(super().whole(completion, body)) | _PROMPT

    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return _stream(super().events(completion, body))

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return _filtered(super().whole_script(scripts, completion, body)) | _PROMPT

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return _stream(super().script_events(scripts, completion, body))


class CloudflareErrors:
    """Write the errors of a wire format in Cloudflare's envelope."""

    def error(self, status: int) -> dict[str, Any]:
        return dict(cloudflare_refusal(status, 3040 if status == 429 else 3001, f"planted {status}").envelope or {})

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:  # noqa: ARG002 - other vendors name it
        message = f"AiError: Bad input: {refused.message}" if refused.status == 400 else refused.message
        return dict(cloudflare_refusal(refused.status, 5006, message).envelope or {})


class CloudflareChatWire(CloudflareErrors, OpenAIWire):
    """Implement ``Wire`` for Workers AI."""

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        super().refuse({name: value for name, value in body.items() if name not in _WORKERS}, headers)


class CloudflareEmbeddingsWire(CloudflareErrors, OpenAIEmbeddingsWire):
    """Implement ``TaskWire`` for Workers AI."""


# Fields of Workers AI that OpenAI does not have.
_WORKERS = frozenset({"lora", "repetition_penalty", "top_k", "raw"})


def _filtered(content: dict[str, Any]) -> dict[str, Any]:
    choices = [one | {"content_filter_results": _SAFE} for one in content.get("choices", [])]
    return content | {"choices": choices}


def _stream(events: list[bytes]) -> list[bytes]:
    return [_event(_FIRST), *(_annotated(event) for event in events)]


def _annotated(event: bytes) -> bytes:
    if event.strip() == b"data: [DONE]":
        return event
    return _event(_filtered(json.loads(event.removeprefix(_DATA))))


def _event(chunk: Mapping[str, Any]) -> bytes:
    return _DATA + json.dumps(chunk).encode() + b"\n\n"
