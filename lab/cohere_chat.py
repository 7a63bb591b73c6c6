"""Implement the provider's side of Cohere's chat, version 2, and refuse what Cohere refuses.

Sources: the ``cohere`` package 7.3 (``v2/client.py``, ``v2/types`` and the types beside them), read on 2026-11-29;
Cohere docs, "Chat with Streaming", "Tool use" and, read on 2026-11-30 in the edition of 2025-11-08, "Errors", whose
tables have the sentences. Not in these tables are those on stop sequences, roles, ``tool_choice``, missing results and
turns with both content and calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.cohere import CohereErrors, check_cohere_fields, new_id
from lab.conversation import Conversation, read_chat
from lab.prefixes import Prefixes
from lab.script import (
    Called,
    Declined,
    Ending,
    HiddenThought,
    SaidText,
    Script,
    Searched,
    Thought,
    only_of_gemini,
)
from lab.scripted_wire import ScriptedWire
from lab.shapes import RequestRefused
from lab.text import Ask, Completion, characters

REASONS: dict[Ending, str] = {
    "end": "COMPLETE", "length": "MAX_TOKENS", "stop_sequence": "STOP_SEQUENCE", "tools": "TOOL_CALL",
    "failed": "ERROR", "filtered": "ERROR_TOXIC",
}  # fmt: skip
_FIELDS = frozenset(
    {
        "model", "messages", "tools", "strict_tools", "documents", "citation_options", "response_format", "safety_mode",
        "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty", "k", "p",
        "logprobs", "tool_choice", "thinking", "priority", "stream",
    }
)  # fmt: skip
# The least and the greatest value of each number.
_BOUNDS = {
    "temperature": (0, 1), "p": (0.01, 0.99), "k": (0, 500), "frequency_penalty": (0, 1), "presence_penalty": (0, 1),
}  # fmt: skip
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")


class CohereChatWire(CohereErrors, ScriptedWire):
    """Implement ``Wire``."""

    endings: Mapping[str, Ending] = {"refusal": "filtered", "error": "failed"}
    turns = "messages"
    runs_tools = False

    def __init__(self) -> None:
        self._prefixes = Prefixes()

    def read(self, body: dict[str, Any]) -> Ask:
        messages = body.get("messages", [])
        size = sum(characters(message.get("content")) for message in messages)
        answered = bool(messages) and messages[-1].get("role") == "tool"
        tools = () if answered else self.converse(body).tools
        return Ask(size, body.get("max_tokens"), tools[0].name if tools else None)

    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion:
        """Return ``completion`` with the prompt tokens that were read from the endpoint's cache."""
        known = self._prefixes.read(endpoint, body["messages"])
        return replace(completion, cached_tokens=min(known, completion.prompt_tokens))

    def converse(self, body: dict[str, Any]) -> Conversation:
        form = body.get("response_format") or {}
        schema = form.get("json_schema")
        shaped = {
            "messages": [{**one, "content": one.get("content") or ""} for one in body["messages"]],
            "tools": [] if body.get("tool_choice") == "NONE" else body.get("tools") or [],
            "stop": body.get("stop_sequences"),
            "max_tokens": body.get("max_tokens"),
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}} if schema else form,
        }
        thinks = (body.get("thinking") or {}).get("type") == "enabled"
        documents = tuple(str((one.get("data") or {}).get("text", "")) for one in _documents(body))
        return replace(read_chat(shaped), thinks=thinks, documents=documents)

    def unsaid(self, script: Script) -> str | None:
        if script.ending in ("pause", "refusal"):
            return f"the ending {script.ending!r}"
        kinds = ((Searched, "a search by the provider"), (HiddenThought, "encrypted thinking"), (Declined, "a refusal"))
        found = next((name for kind, name in kinds if any(isinstance(part, kind) for part in script.parts)), None)
        return found or only_of_gemini(script)

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        check_cohere_fields(body, headers, _FIELDS)
        for name, (least, most) in _BOUNDS.items():
            value = body.get(name)
            if value is not None and not least <= value <= most:
                raise RequestRefused(f"invalid request: {name} must be between {least} and {most} inclusive.")
        if len(body.get("stop_sequences") or ()) > 5:
            raise RequestRefused("invalid request: stop_sequences must have at most 5 entries")
        if body.get("response_format") and (body.get("tools") or body.get("documents")):
            raise RequestRefused("invalid request: response_format is not supported with RAG.")
        if body.get("tool_choice") and not body.get("tools"):
            raise RequestRefused("invalid request: tool_choice may only be provided with tools")
        for tool in body.get("tools") or ():
            if not _NAME.fullmatch(tool["function"]["name"]):
                raise RequestRefused(
                    "invalid request: tool names can only contain certain characters (A-Za-z0-9_) and can't begin with "
                    f"a digit (provided name: '{tool['function']['name']}')."
                )
        _check_history(body["messages"])

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        script = scripts[0]
        message: dict[str, Any] = {"role": "assistant"}
        content: list[dict[str, Any]] = []
        calls = [part for part in script.parts if isinstance(part, Called)]
        for part in script.parts:
            if isinstance(part, Thought):
                content.append({"type": "thinking", "thinking": "".join(part.pieces)})
            elif isinstance(part, SaidText) and calls:
                message["tool_plan"] = "".join(part.pieces)
            elif isinstance(part, SaidText):
                content.append({"type": "text", "text": "".join(part.pieces)})
                if citations := list(_citations(part, len(content) - 1, body)):
                    message["citations"] = [*message.get("citations", []), *citations]
        if content:
            message["content"] = content
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        return {
            "id": new_id(f"{completion.number}"),
            "finish_reason": REASONS[script.ending],
            "message": message,
            "usage": _usage(script, completion),
        }

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        script = scripts[0]
        start = {"type": "message-start", "id": new_id(f"{completion.number}")}
        empty = {"role": "assistant", "content": [], "tool_calls": [], "citations": []}
        found: list[dict[str, Any]] = [start | {"delta": {"message": empty}}]
        has_calls = any(isinstance(part, Called) for part in script.parts)
        blocks = calls = 0
        for part in script.parts:
            if isinstance(part, SaidText) and has_calls:
                found += [_event("tool-plan-delta", message={"tool_plan": piece}) for piece in part.pieces]
            elif isinstance(part, SaidText | Thought):
                found += _block(part, blocks, body)
                blocks += 1
            elif isinstance(part, Called):
                found += _called(part, calls)
                calls += 1
        ended = {"finish_reason": REASONS[script.ending], "usage": _usage(script, completion)}
        found.append({"type": "message-end", "delta": ended})
        return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in found]

    def error_event(self, request_id: str, number: int) -> bytes:  # noqa: ARG002 - other vendors number events
        ended = {"finish_reason": "ERROR", "error": "internal server error"}
        return f"event: message-end\ndata: {json.dumps({'type': 'message-end', 'delta': ended})}\n\n".encode()


def _check_history(messages: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    for place, message in enumerate(messages):
        role = message.get("role")
        if role not in ("system", "user", "assistant", "tool"):
            raise RequestRefused(f"invalid request: message at index {place} has an invalid role")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                missing = "tool call id must be provided with tool message"
                unknown = "tool call id not found in previous tool calls"
                raise RequestRefused(unknown if message.get("tool_call_id") else missing)
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise RequestRefused(f"invalid request: missing tool results for tool calls with ids {', '.join(waiting)}")
        if not message.get("content") and not message.get("tool_calls"):
            raise RequestRefused("message must not be empty in a turn")
        if message.get("content") and message.get("tool_calls"):
            raise RequestRefused(f"invalid request: message at index {place} has both content and tool calls")
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(waiting)) < len(waiting) or not all(waiting):
            raise RequestRefused("cannot have duplicate tool ids")
    if waiting:
        raise RequestRefused(f"invalid request: missing tool results for tool calls with ids {', '.join(waiting)}")


def _event(kind: str, index: int | None = None, **delta: Any) -> dict[str, Any]:
    numbered = {} if index is None else {"index": index}
    return {"type": kind, **numbered, "delta": delta}


def _block(part: SaidText | Thought, index: int, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = "text" if isinstance(part, SaidText) else "thinking"
    yield _event("content-start", index, message={"content": {"type": kind, kind: ""}})
    for piece in part.pieces:
        yield _event("content-delta", index, message={"content": {kind: piece}})
    if isinstance(part, SaidText):
        for place, citation in enumerate(_citations(part, index, body)):
            yield _event("citation-start", place, message={"citations": citation})
            yield {"type": "citation-end", "index": place}
    yield {"type": "content-end", "index": index}


def _called(call: Called, index: int) -> Iterator[dict[str, Any]]:
    written = _call(call)
    arguments = written["function"].pop("arguments")
    begun = written | {"function": {**written["function"], "arguments": ""}}
    yield _event("tool-call-start", index, message={"tool_calls": begun})
    half = len(arguments) // 2
    for piece in (arguments[:half], arguments[half:]):
        yield _event("tool-call-delta", index, message={"tool_calls": {"function": {"arguments": piece}}})
    yield {"type": "tool-call-end", "index": index}


def _call(call: Called) -> dict[str, Any]:
    arguments = json.dumps({"input": call.arguments}) if call.custom else call.arguments
    function = {"name": call.name, "arguments": arguments}
    return {"id": f"{call.name}_{call.number:x}"[-40:], "type": "function", "function": function}


def _citations(part: SaidText, index: int, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the citations of a text: of the request's documents, else of web pages."""
    text = "".join(part.pieces)
    documents = _documents(body)
    for cited in part.citations:
        if cited.url is None and cited.document < len(documents):
            given = documents[cited.document]
            source: dict[str, Any] = {"type": "document", "id": given["id"], "document": given.get("data") or {}}
        else:
            page = {"title": cited.title, "text": cited.quote, "url": cited.url}
            source = {"type": "document", "id": "web", "document": {k: v for k, v in page.items() if v is not None}}
        yield {
            "start": 0,
            "end": len(text),
            "text": text,
            "sources": [source],
            "content_index": index,
            "type": "TEXT_CONTENT",
        }


def _documents(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the documents of a request, which may be texts, each with an id."""
    written = [one if isinstance(one, dict) else {"data": {"text": one}} for one in body.get("documents") or ()]
    return [{"id": f"doc:{place}"} | one for place, one in enumerate(written)]


def _usage(script: Script, completion: Completion) -> dict[str, Any]:
    written = script.tokens or completion.completion_tokens
    counts = {"input_tokens": completion.prompt_tokens, "output_tokens": written}
    tokens = {"input_tokens": completion.prompt_tokens + 60, "output_tokens": written}
    return {"billed_units": counts, "tokens": tokens, "cached_tokens": completion.cached_tokens}
