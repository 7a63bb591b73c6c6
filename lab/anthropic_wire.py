"""Implement the provider's side of the Anthropic messages format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.anthropic_refusals import refuse_count, refuse_messages
from lab.anthropic_script import message_events, whole_message
from lab.conversation import Conversation, read_messages
from lab.prefixes import MIN_TOKENS, Prefixes
from lab.script import Script, only_of_gemini
from lab.shapes import RequestRefused
from lab.signatures import Signatures
from lab.text import Ask, Completion, characters

# Source: https://platform.claude.com/docs/en/api/errors
FAILURES = {
    400: ("invalid_request_error", "There was an issue with the format or content of your request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource was not found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    504: ("timeout_error", "The request timed out while processing."),
    529: ("overloaded_error", "Overloaded"),
}
API_ERROR = ("api_error", "Internal server error")


class AnthropicWire:
    """Implement ``Wire``. A prompt is cached if it asks for it; tokens that are not read are written and charged.

    ``seed`` determines the key that signs thinking.
    """

    not_json = "The request body is not valid JSON."
    runs_tools = False
    turns = "messages"

    def __init__(self, seed: int = 7) -> None:
        self._prefixes = Prefixes()
        self._signatures = Signatures(seed)

    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion:
        """Return ``completion`` with the prompt tokens that were read from and written to the endpoint's cache."""
        if '"cache_control"' not in json.dumps(body):
            return completion
        system = {"content": body.get("system")}
        known = min(self._prefixes.read(endpoint, [system, *body.get("messages", [])]), completion.prompt_tokens)
        written = completion.prompt_tokens - known if completion.prompt_tokens >= MIN_TOKENS else 0
        return replace(completion, cached_tokens=known, cache_write_tokens=written)

    def read(self, body: dict[str, Any]) -> Ask:
        size = characters(body.get("system")) + sum(characters(m["content"]) for m in body.get("messages", []))
        last = body.get("messages", [{}])[-1].get("content")
        answered = isinstance(last, list) and any(part.get("type") == "tool_result" for part in last)
        tools = () if answered else read_messages(body).tools
        return Ask(size, body.get("max_tokens"), tools[0].name if tools else None)

    def whole(self, completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        block = _block(completion) | ({} if completion.tool else {"text": completion.text})
        if completion.tool:
            # A non-streamed response cannot contain invalid JSON, so it has a string in place of the object.
            broken = completion.garbled == "invalid_json"
            block["input"] = completion.arguments if broken else json.loads(completion.arguments)
        return _message(completion, body) | {
            "content": [] if completion.ending == "refusal" else [block],
            "stop_reason": _reason(completion),
            "usage": _usage(completion, completion.completion_tokens),
        }

    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]:
        events: list[dict[str, Any]] = [{"type": "message_start", "message": _message(completion, body)}]
        if completion.ending != "refusal":
            events += _content(completion)
        stop = {"stop_reason": _reason(completion), "stop_sequence": None}
        usage = {"output_tokens": completion.completion_tokens}
        events += [
            {"type": "message_delta", "delta": stop, "usage": usage},
            {"type": "message_stop"},
        ]
        return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]

    def error(self, status: int) -> dict[str, Any]:
        kind = "rate_limit_error" if status == 429 else "overloaded_error"
        return {"type": "error", "error": {"type": kind, "message": f"planted {status}"}}

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        refuse_messages(body, headers, self._signatures)

    def refuse_count(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        """Raise ``RequestRefused`` if the vendor refuses to count the tokens of this request."""
        refuse_count(body, headers, self._signatures)

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:
        error = {"type": refused.kind, "message": refused.message}
        return {"type": "error", "error": error, "request_id": request_id}

    def failure(self, status: int) -> RequestRefused:
        kind, message = FAILURES.get(status, API_ERROR)
        return RequestRefused(message, status=status, kind=kind)

    def converse(self, body: dict[str, Any]) -> Conversation:
        return read_messages(body)

    def unsaid(self, script: Script) -> str | None:
        failed = "a response that says that it has failed" if script.ending == "failed" else None
        return failed or only_of_gemini(script)

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return whole_message(scripts[0], completion, body, self._signatures)

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return message_events(scripts[0], completion, body, self._signatures)

    def error_event(self, request_id: str, number: int) -> bytes:
        return b"event: error\ndata: " + json.dumps(self.envelope(self.failure(529), request_id)).encode() + b"\n\n"


def _content(completion: Completion) -> list[dict[str, Any]]:
    """Return the events of the single content block."""
    if completion.tool:
        text = completion.arguments
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in (text[:9], text[9:])]
    else:
        deltas = [{"type": "text_delta", "text": piece} for piece in completion.pieces]
    return [
        {"type": "content_block_start", "index": 0, "content_block": _block(completion)},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    ]


def _message(completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{completion.number:x}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(completion, 1),
    }


def _block(completion: Completion) -> dict[str, Any]:
    if completion.tool:
        return {
            "type": "tool_use",
            "id": f"toolu_{completion.number:x}",
            "name": completion.tool_name,
            "input": {},
        }
    return {"type": "text", "text": ""}


def _reason(completion: Completion) -> str:
    if completion.ending == "refusal":
        return "refusal"
    if completion.tool:
        return "tool_use"
    return "max_tokens" if completion.length_limited else "end_turn"


def _usage(completion: Completion, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": completion.prompt_tokens - completion.cached_tokens - completion.cache_write_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": completion.cache_write_tokens,
        "cache_read_input_tokens": completion.cached_tokens,
        "service_tier": "standard",
    }
