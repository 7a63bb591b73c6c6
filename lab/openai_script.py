"""Write scripts as chat completions and their streams."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from lab.script import (
    Called,
    CitedSource,
    Declined,
    Ending,
    SaidText,
    Script,
    Thought,
    joined,
    only_of_gemini,
)
from lab.text import WORDS, Completion

REASONS: dict[Ending, str] = {
    "end": "stop", "length": "length", "stop_sequence": "stop", "tools": "tool_calls", "refusal": "stop",
}  # fmt: skip


def whole_chat(
    scripts: Sequence[Script], completion: Completion, body: dict[str, Any], *, thoughts: bool = False
) -> dict[str, Any]:
    """Return the non-streaming response; each script is a choice. ``thoughts`` are shown as ``reasoning_content``."""
    return _head(completion, body, "chat.completion") | {
        "choices": [
            {
                "index": index,
                "message": _message(script, thoughts),
                "logprobs": _logprobs(script, body),
                "finish_reason": REASONS[script.ending],
            }
            for index, script in enumerate(scripts)
        ],
        "usage": _usage(scripts, completion),
    }


def chat_events(
    scripts: Sequence[Script], completion: Completion, body: dict[str, Any], *, thoughts: bool = False
) -> list[bytes]:
    """Return the events of the stream; the chunks of the choices alternate."""
    options = body.get("stream_options") or {}
    head = _head(completion, body, "chat.completion.chunk")
    if options.get("include_usage"):
        head["usage"] = None
    padding = {"obfuscation": "portolan"} if options.get("include_obfuscation") else {}
    choices = [_choices(index, script, body, thoughts) for index, script in enumerate(scripts)]
    chunks = [
        head | {"choices": [choice]} | padding
        for turn in zip_longest(*choices)
        for choice in turn
        if choice is not None
    ]
    if options.get("include_usage"):
        chunks.append(head | {"choices": [], "usage": _usage(scripts, completion)})
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _head(completion: Completion, body: dict[str, Any], kind: str) -> dict[str, Any]:
    tier = body.get("service_tier") or "default"
    return {
        "id": f"chatcmpl-{completion.number:x}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "service_tier": "default" if tier == "auto" else tier,
        "system_fingerprint": f"fp_{hashlib.sha256(body['model'].encode()).hexdigest()[:10]}",
    }


def _message(script: Script, thoughts: bool) -> dict[str, Any]:
    calls = [_call(part) for part in script.parts if isinstance(part, Called)]
    message = {
        "role": "assistant",
        "content": joined(script.parts, SaidText) or None,
        "refusal": joined(script.parts, Declined) or None,
        "annotations": _annotations(script),
    }
    thought = "".join("".join(part.pieces) for part in script.parts if isinstance(part, Thought))
    shown = {"reasoning_content": thought} if thoughts and thought else {}
    return message | shown | ({"tool_calls": calls} if calls else {})


def _call(part: Called) -> dict[str, Any]:
    kind, field = ("custom", "input") if part.custom else ("function", "arguments")
    return {"id": f"call_{part.number:x}", "type": kind, kind: {"name": part.name, field: part.arguments}}


def _annotations(script: Script) -> list[dict[str, Any]]:
    """Return the citations of web pages, with their places in the text."""
    found, end = [], 0
    for part in script.parts:
        if not isinstance(part, SaidText):
            continue
        start, end = end, end + sum(map(len, part.pieces))
        found += [_annotation(citation, start, end) for citation in part.citations if citation.url]
    return found


def _annotation(citation: CitedSource, start: int, end: int) -> dict[str, Any]:
    place = {"start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
    return {"type": "url_citation", "url_citation": place}


def _choices(index: int, script: Script, body: dict[str, Any], thoughts: bool) -> Iterator[dict[str, Any]]:
    """Yield the entries of one choice in the chunks of a stream."""
    shown = bool(body.get("logprobs"))

    def entry(delta: dict[str, Any], logprobs: Any = None, reason: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}

    yield entry({"role": "assistant", "content": "", "refusal": None})
    calls = 0
    for part in script.parts:
        if isinstance(part, SaidText):
            for piece in part.pieces:
                yield entry({"content": piece}, listed_logprobs("content", [piece], body) if shown else None)
        elif isinstance(part, Thought) and thoughts:
            yield from (entry({"reasoning_content": piece}) for piece in part.pieces)
        elif isinstance(part, Declined):
            for piece in part.pieces:
                yield entry({"refusal": piece}, listed_logprobs("refusal", [piece], body) if shown else None)
        elif isinstance(part, Called):
            for delta in _call_deltas(part, calls):
                yield entry({"tool_calls": [delta]})
            calls += 1
    annotations = _annotations(script)
    if annotations:
        yield entry({"annotations": annotations})
    yield entry({}, reason=REASONS[script.ending])


def _call_deltas(part: Called, index: int) -> Iterator[dict[str, Any]]:
    """Yield a call with its name and id, then its arguments in two pieces."""
    call = _call(part)
    kind, field = call["type"], "input" if part.custom else "arguments"
    yield {"index": index, **call, kind: {"name": part.name, field: ""}}
    half = len(part.arguments) // 2
    for piece in (part.arguments[:half], part.arguments[half:]):
        yield {"index": index, kind: {field: piece}}


def _logprobs(script: Script, body: dict[str, Any]) -> dict[str, Any] | None:
    if not body.get("logprobs"):
        return None
    said = [piece for part in script.parts if isinstance(part, SaidText) for piece in part.pieces]
    declined = [piece for part in script.parts if isinstance(part, Declined) for piece in part.pieces]
    return listed_logprobs("refusal", declined, body) if declined else listed_logprobs("content", said, body)


def listed_logprobs(name: str, pieces: list[str], body: dict[str, Any]) -> dict[str, Any]:
    """Return the log probabilities of ``pieces`` under ``name``, with as many alternatives as ``body`` asks for."""
    count = body.get("top_logprobs") or 0
    entries = []
    for piece in pieces:
        others = [piece, *(f" {word}" for word in WORDS if word != piece.strip())][:count]
        ranked = [_logprob(token, rank) for rank, token in enumerate(others)]
        entries.append(_logprob(piece, 0) | {"top_logprobs": ranked})
    return {"content": None, "refusal": None, name: entries}


def _logprob(token: str, rank: int) -> dict[str, Any]:
    """Return ``token`` with the probability 0.5 ** (rank + 1)."""
    return {"token": token, "logprob": (rank + 1) * math.log(0.5), "bytes": list(token.encode())}


def _usage(scripts: Sequence[Script], completion: Completion) -> dict[str, Any]:
    tokens = sum(script.tokens for script in scripts)
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": completion.prompt_tokens + tokens,
        "prompt_tokens_details": {"cached_tokens": completion.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(script.thinking_tokens for script in scripts),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def unsaid_in_chat(script: Script) -> str | None:
    """Return what of ``script`` the format cannot say at all; thinking counts as tokens, searches as citations."""
    if script.ending == "failed":
        return "a response that says that it has failed"
    return "a turn that pauses" if script.pauses else only_of_gemini(script)
