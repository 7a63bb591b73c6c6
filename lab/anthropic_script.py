"""Write scripts as messages and their streams, with every documented event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lab.script import Called, CitedSource, Declined, Ending, HiddenThought, Part, SaidText, Script, Searched, Thought
from lab.signatures import Signatures
from lab.text import Completion

REASONS: dict[Ending, str] = {
    "end": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "tools": "tool_use",
    "pause": "pause_turn", "refusal": "refusal",
}  # fmt: skip
REFUSED = {"type": "refusal", "category": "general_harms", "explanation": "The request asks for help with a harm."}
Block = dict[str, Any]


def whole_message(
    script: Script, completion: Completion, body: dict[str, Any], signatures: Signatures
) -> dict[str, Any]:
    """Return the non-streaming response."""
    content = [block for part in script.parts for block in _blocks(part, body, signatures)]
    usage = _usage(completion, body) | _produced(script)
    return _message(completion, body) | {"content": content, **_stop(script), "usage": usage}


def message_events(script: Script, completion: Completion, body: dict[str, Any], signatures: Signatures) -> list[bytes]:
    """Return the events of the stream."""
    started = _message(completion, body) | {"usage": _usage(completion, body) | {"output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": started}]
    index = 0
    for part in script.parts:
        pieces = list(part.pieces) if isinstance(part, (SaidText, Thought, Declined)) else []
        for block in _blocks(part, body, signatures):
            events.append({"type": "content_block_start", "index": index, "content_block": _empty(block)})
            events += [{"type": "ping"}] if index == 0 else []
            deltas = ({"type": "content_block_delta", "index": index, "delta": d} for d in _deltas(block, pieces))
            events += [*deltas, {"type": "content_block_stop", "index": index}]
            index += 1
    usage = _usage(completion, body) | _produced(script)
    kept = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", *_produced(script))
    final = {name: usage[name] for name in kept}
    events += [{"type": "message_delta", "delta": _stop(script), "usage": final}, {"type": "message_stop"}]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def _message(completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{completion.number:x}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _stop(script: Script) -> dict[str, Any]:
    return {
        "stop_reason": REASONS[script.ending],
        "stop_sequence": script.stop_sequence,
        "stop_details": REFUSED if script.ending == "refusal" else None,
    }


def _blocks(part: Part, body: dict[str, Any], signatures: Signatures) -> Iterator[Block]:
    """Yield the content blocks of ``part``."""
    if isinstance(part, SaidText):
        text = {"type": "text", "text": "".join(part.pieces), "citations": None}
        cited = [_citation(citation, signatures) for citation in part.citations]
        yield text | ({"citations": cited} if cited else {})
    elif isinstance(part, Declined):
        yield {"type": "text", "text": "".join(part.pieces), "citations": None}
    elif isinstance(part, Thought):
        omitted = (body.get("thinking") or {}).get("display") == "omitted"
        thinking = "" if omitted else "".join(part.pieces)
        yield {"type": "thinking", "thinking": thinking, "signature": signatures.sign_thinking(thinking)}
    elif isinstance(part, HiddenThought):
        yield {"type": "redacted_thinking", "data": signatures.redact(part.text)}
    elif isinstance(part, Called):
        arguments = {"input": part.arguments} if part.custom else json.loads(part.arguments)
        yield {"type": "tool_use", "id": f"toolu_{part.number:x}", "name": part.name, "input": arguments}
    elif isinstance(part, Searched):
        yield from _search(part, signatures)


def _search(part: Searched, signatures: Signatures) -> Iterator[Block]:
    if not part.resumed:
        query = {"query": part.query}
        yield {"type": "server_tool_use", "id": part.call_id, "name": "web_search", "input": query}
    if part.results is not None:
        found = [
            {
                "type": "web_search_result",
                "title": page.title,
                "url": page.url,
                "encrypted_content": signatures.encrypt(page.quote),
                "page_age": None,
            }
            for page in part.results
        ]
        yield {"type": "web_search_tool_result", "tool_use_id": part.call_id, "content": found}


def _citation(citation: CitedSource, signatures: Signatures) -> dict[str, Any]:
    if citation.url:
        return {
            "type": "web_search_result_location",
            "url": citation.url,
            "title": citation.title,
            "encrypted_index": signatures.encrypt(citation.url),
            "cited_text": citation.quote,
        }
    return {
        "type": "char_location",
        "cited_text": citation.quote,
        "document_index": citation.document,
        "document_title": citation.title,
        "start_char_index": citation.start,
        "end_char_index": citation.start + len(citation.quote),
        "file_id": None,
    }


def _empty(block: Block) -> Block:
    """Return ``block`` as its start event has it; results and redacted thinking come in one piece."""
    cleared: dict[str, Block] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
        "server_tool_use": {"input": {}},
    }
    citations: Block = {"citations": []} if block.get("citations") else {}
    return block | cleared.get(block["type"], {}) | citations


def _deltas(block: Block, pieces: list[str]) -> Iterator[dict[str, Any]]:
    kind = block["type"]
    if kind == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in pieces)
        yield from ({"type": "citations_delta", "citation": cited} for cited in block["citations"] or ())
    elif kind == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces if block["thinking"])
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif kind in ("tool_use", "server_tool_use"):
        arguments = json.dumps(block["input"])
        half = len(arguments) // 2
        yield from ({"type": "input_json_delta", "partial_json": p} for p in ("", arguments[:half], arguments[half:]))


def _usage(completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
    written = completion.cache_write_tokens
    hour = written if '"ttl": "1h"' in json.dumps(body) else 0
    return {
        "input_tokens": completion.prompt_tokens - completion.cached_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": completion.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
        "service_tier": "standard",
    }


def _produced(script: Script) -> dict[str, Any]:
    """Return the usage that grows while a response is made."""
    searches = {"web_search_requests": script.searches, "web_fetch_requests": 0}
    return {
        "output_tokens": script.tokens,
        "output_tokens_details": {"thinking_tokens": script.thinking_tokens},
        "server_tool_use": searches if script.searches else None,
    }
