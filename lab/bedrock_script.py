"""Write scripts as responses of Converse and the events of their streams.

Source: Amazon Bedrock API reference: Converse, ConverseStream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lab.bedrock_frames import event_frame
from lab.bedrock_models import is_claude
from lab.script import (
    Called,
    CitedSource,
    Declined,
    Ending,
    HiddenThought,
    Part,
    SaidText,
    Script,
    Thought,
    only_of_gemini,
)
from lab.signatures import Signatures
from lab.text import Completion

REASONS: dict[Ending, str] = {
    "end": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "tools": "tool_use",
    "refusal": "content_filtered", "filtered": "guardrail_intervened",
}  # fmt: skip
Block = dict[str, Any]


class ConverseScript:
    """Write one script for one request."""

    def __init__(self, script: Script, completion: Completion, body: dict[str, Any], signatures: Signatures) -> None:
        self._script, self._completion, self._body = script, completion, body
        self._signatures = signatures
        self._claude = is_claude(str(body["model"]))

    def response(self) -> dict[str, Any]:
        """Return the non-streaming response."""
        content = [block for part in self._script.parts for block in self._blocks(part)]
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            **self._stop(),
            "usage": self._usage(),
            "metrics": {"latencyMs": 100},
        } | self._tier()

    def events(self) -> list[bytes]:
        """Return the messages of the stream."""
        found = [event_frame("messageStart", {"role": "assistant"})]
        index = 0
        for part in self._script.parts:
            pieces = list(part.pieces) if isinstance(part, SaidText | Thought | Declined) else []
            for block in self._blocks(part):
                place = {"contentBlockIndex": index}
                if "toolUse" in block:
                    start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
                    found.append(event_frame("contentBlockStart", place | {"start": {"toolUse": start}}))
                found += [event_frame("contentBlockDelta", place | {"delta": one}) for one in _deltas(block, pieces)]
                found.append(event_frame("contentBlockStop", place))
                index += 1
        found.append(event_frame("messageStop", self._stop()))
        metadata = {"usage": self._usage(), "metrics": {"latencyMs": 100}} | self._tier()
        return [*found, event_frame("metadata", metadata)]

    def _stop(self) -> dict[str, Any]:
        found: dict[str, Any] = {"stopReason": REASONS[self._script.ending]}
        asked = "/stop_sequence" in (self._body.get("additionalModelResponseFieldPaths") or ())
        if asked and self._script.stop_sequence is not None:
            found["additionalModelResponseFields"] = {"stop_sequence": self._script.stop_sequence}
        return found

    def _tier(self) -> dict[str, Any]:
        return {"serviceTier": self._body["serviceTier"]} if "serviceTier" in self._body else {}

    def _blocks(self, part: Part) -> Iterator[Block]:
        """Yield the content blocks of ``part``."""
        if isinstance(part, SaidText) and part.citations:
            cited = [_citation(source) for source in part.citations]
            yield {"citationsContent": {"content": [{"text": "".join(part.pieces)}], "citations": cited}}
        elif isinstance(part, SaidText | Declined):
            yield {"text": "".join(part.pieces)}
        elif isinstance(part, Thought):
            text = "".join(part.pieces)
            # Claude alone signs what it thinks.
            signature = {"signature": self._signatures.sign_thinking(text)} if self._claude else {}
            yield {"reasoningContent": {"reasoningText": {"text": text} | signature}}
        elif isinstance(part, HiddenThought):
            yield {"reasoningContent": {"redactedContent": self._signatures.redact(part.text)}}
        elif isinstance(part, Called):
            arguments = {"input": part.arguments} if part.custom else _arguments(part.arguments)
            yield {"toolUse": {"toolUseId": f"tooluse_{part.number:x}", "name": part.name, "input": arguments}}

    def _usage(self) -> dict[str, Any]:
        completion, written = self._completion, self._script.tokens
        cached, stored = completion.cached_tokens, completion.cache_write_tokens
        found: dict[str, Any] = {
            "inputTokens": completion.prompt_tokens - cached - stored,
            "outputTokens": written,
            "totalTokens": completion.prompt_tokens + written,
            "cacheReadInputTokens": cached,
            "cacheWriteInputTokens": stored,
        }
        if stored and '"ttl": "1h"' in json.dumps(self._body):
            found["cacheDetails"] = [{"ttl": "1h", "inputTokens": stored}]
        return found


def unsaid_in_converse(script: Script) -> str | None:
    """Return what of ``script`` the format cannot say at all."""
    if script.pauses or script.searches:
        return "a web search"
    failed = "a response that says that it has failed" if script.ending == "failed" else None
    return failed or only_of_gemini(script)


def _arguments(text: str) -> Any:
    """Return the arguments as the vendor parses them; what it cannot parse stays text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _citation(source: CitedSource) -> Block:
    if source.url:
        where: Block = {"web": {"url": source.url, "domain": "harbour.example"}}
    else:
        end = source.start + len(source.quote)
        where = {"documentChar": {"documentIndex": source.document, "start": source.start, "end": end}}
    return {"title": source.title, "sourceContent": [{"text": source.quote}], "location": where}


def _deltas(block: Block, pieces: list[str]) -> Iterator[Block]:
    if "text" in block:
        yield from ({"text": piece} for piece in pieces)
    elif "citationsContent" in block:
        yield from ({"text": piece} for piece in pieces)
        yield from ({"citation": cited} for cited in block["citationsContent"]["citations"])
    elif "reasoningContent" in block:
        shown = block["reasoningContent"].get("reasoningText")
        if shown is None:
            yield block
            return
        yield from ({"reasoningContent": {"text": piece}} for piece in pieces)
        if "signature" in shown:
            yield {"reasoningContent": {"signature": shown["signature"]}}
    elif "toolUse" in block:
        given = block["toolUse"]["input"]
        text = given if isinstance(given, str) else json.dumps(given)
        half = len(text) // 2
        yield from ({"toolUse": {"input": piece}} for piece in (text[:half], text[half:]) if piece)
