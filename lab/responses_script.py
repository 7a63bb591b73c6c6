"""Write scripts as responses and their streams of typed events.

Sources: the event and item types of the ``openai`` package 3.54 (``types/responses``); OpenAI API reference: Responses,
streaming events, read on 2026-11-29.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

from lab.openai_script import listed_logprobs
from lab.responses_hosted import HOSTED_ITEMS, begun_item, progress_events
from lab.responses_ids import ItemSeals, new_group
from lab.script import (
    Called,
    Declined,
    Ending,
    HiddenThought,
    Part,
    RanTool,
    SaidText,
    Script,
    Searched,
    Thought,
    only_of_gemini,
)
from lab.text import Completion

Item = dict[str, Any]
Event = dict[str, Any]
STATUS: dict[Ending, str] = {"length": "incomplete", "filtered": "incomplete", "failed": "failed"}
REASONS: dict[Ending, str] = {"length": "max_output_tokens", "filtered": "content_filter"}
FAILED = {"code": "server_error", "message": "The model failed to generate a response."}
_PADDING = {"obfuscation": "portolan"}


class ResponseScript:
    """Write one script. The items are the same in a response and in its stream."""

    def __init__(self, script: Script, completion: Completion, body: dict[str, Any], seals: ItemSeals) -> None:
        self._script, self._completion, self._body, self._seals = script, completion, body, seals
        self._dice = random.Random(completion.number)
        self._include = body.get("include") or ()
        self._logprobs = "message.output_text.logprobs" in self._include
        self._group: str | None = None
        shown = [part for part in script.parts if isinstance(part, SaidText | Declined | Thought)]
        self._tokens = {"".join(part.pieces): part.pieces for part in shown}
        self._output = [item for part in _grouped(script.parts) for item in [self._item(part)]]

    def response(self) -> Item:
        """Return the complete response."""
        return self._head(STATUS.get(self._script.ending, "completed"), self._output)

    def events(self) -> list[bytes]:
        """Return the events of the stream."""
        found: list[Event] = [
            {"type": f"response.{step}", "response": self._head("in_progress", [])} for step in _OPENING
        ]
        for number, item in enumerate(self._output):
            found += [{**event, "output_index": number} for event in self._item_events(item)]
        status = STATUS.get(self._script.ending, "completed")
        found.append({"type": f"response.{status}", "response": self.response()})
        for number, event in enumerate(found):
            event["sequence_number"] = number
        return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in found]

    def _head(self, status: str, output: list[Item]) -> Item:
        body, ending = self._body, self._script.ending
        over = status != "in_progress"
        reason = REASONS.get(ending) if over else None
        tier = body.get("service_tier") or "auto"
        head: Item = {
            "id": f"resp_{self._completion.number:x}",
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "background": False,
            "error": FAILED if status == "failed" else None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": body["model"],
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
            "service_tier": ("default" if tier == "auto" else tier) if over else tier,
            "store": body.get("store") is not False,
            "temperature": body.get("temperature") or 1.0,
            "text": {"format": {"type": "text"}} | (body.get("text") or {}),
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p") or 1.0,
            "truncation": "disabled",
            "usage": self._usage() if over and status != "failed" else None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
        }
        return head | self._tool_usage(over)

    def _usage(self) -> Item:
        completion, script = self._completion, self._script
        return {
            "input_tokens": completion.prompt_tokens,
            "input_tokens_details": {"cached_tokens": completion.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": script.tokens,
            "output_tokens_details": {"reasoning_tokens": script.thinking_tokens},
            "total_tokens": completion.prompt_tokens + script.tokens,
        }

    def _tool_usage(self, over: bool) -> Item:
        if not over or not self._script.searches:
            return {}
        details = {"image_tokens": 0, "text_tokens": 0}
        images: Item = {"input_tokens": 0, "input_tokens_details": details, "output_tokens": 0, "total_tokens": 0}
        return {"tool_usage": {"web_search": {"num_requests": self._script.searches}, "image_gen": images}}

    def _item(self, parts: tuple[Part, ...]) -> Item:
        first = parts[0]
        if isinstance(first, Thought | HiddenThought):
            return self._reasoning(parts)
        if isinstance(first, Called):
            return self._call(first)
        if isinstance(first, Searched):
            return self._search(first)
        if isinstance(first, RanTool):
            kind, prefix, result = HOSTED_ITEMS[first.tool]
            return {"id": self._new_id(prefix), "type": kind, **result}
        content = [self._content(part) for part in parts]
        common = {"type": "message", "role": "assistant", "status": "completed", "content": content}
        return {"id": self._new_id("msg"), **common}

    def _new_id(self, prefix: str) -> str:
        return self._seals.item_id(prefix, self._group, self._dice)

    def _reasoning(self, parts: tuple[Part, ...]) -> Item:
        self._group = new_group(self._dice)
        shown = ["".join(part.pieces) for part in parts if isinstance(part, Thought)]
        hidden = [part.text for part in parts if isinstance(part, HiddenThought)]
        asked = (self._body.get("reasoning") or {}).get("summary")
        item: Item = {"id": self._new_id("rs"), "type": "reasoning", "summary": []}
        if asked:
            item["summary"] = [{"type": "summary_text", "text": text} for text in shown]
        if "reasoning.encrypted_content" in self._include:
            item["encrypted_content"] = self._seals.encrypt(self._group, " ".join([*shown, *hidden]))
        return item

    def _call(self, part: Called) -> Item:
        field = "input" if part.custom else "arguments"
        kind, prefix = ("custom_tool_call", "ctc") if part.custom else ("function_call", "fc")
        call = {"call_id": f"call_{part.number:x}", "name": part.name, field: part.arguments, "status": "completed"}
        return {"id": self._new_id(prefix), "type": kind, **call}

    def _search(self, part: Searched) -> Item:
        action: Item = {"type": "search", "query": part.query, "queries": [part.query]}
        if "web_search_call.action.sources" in self._include:
            action["sources"] = [{"type": "url", "url": source.url} for source in part.results or ()]
        return {"id": self._new_id("ws"), "type": "web_search_call", "status": "completed", "action": action}

    def _content(self, part: Part) -> Item:
        if isinstance(part, Declined):
            return {"type": "refusal", "refusal": "".join(part.pieces)}
        assert isinstance(part, SaidText)
        text = "".join(part.pieces)
        cited = [
            {"type": "url_citation", "start_index": 0, "end_index": len(text), "title": one.title, "url": one.url}
            for one in part.citations
            if one.url
        ]
        return {"type": "output_text", "text": text, "annotations": cited, "logprobs": self._probabilities(part.pieces)}

    def _probabilities(self, pieces: tuple[str, ...]) -> list[Item]:
        if not self._logprobs:
            return []
        found: list[Item] = listed_logprobs("content", list(pieces), self._body)["content"]
        return found

    def _item_events(self, item: Item) -> Iterator[Event]:
        """Yield the events of one item, its beginning and its end included."""
        kind = item["type"]
        empty: Item = {"message": {"content": []}, "reasoning": {"summary": []}}.get(kind, {})
        begun = begun_item(item) | empty
        if kind == "reasoning":
            begun.pop("encrypted_content", None)
        for field in ("arguments", "input"):
            if field in begun:
                begun[field] = ""
        yield {"type": "response.output_item.added", "item": begun}
        inner = {
            "message": self._message_events,
            "reasoning": self._reasoning_events,
            "function_call": self._call_events,
            "custom_tool_call": self._call_events,
        }.get(kind, progress_events)
        for event in inner(item):
            yield {**event, "item_id": item["id"]}
        yield {"type": "response.output_item.done", "item": item}

    def _message_events(self, item: Item) -> Iterator[Event]:
        for index, part in enumerate(item["content"]):
            at = {"content_index": index}
            field = "refusal" if part["type"] == "refusal" else "text"
            stem = f"response.{part['type']}"
            probable: list[Item] = part.get("logprobs", [])
            empty: Item = {**part, field: ""} | ({"annotations": [], "logprobs": []} if field == "text" else {})
            yield {"type": "response.content_part.added", "part": empty, **at}
            for number, piece in enumerate(self._tokens[part[field]]):
                logprobs = {"logprobs": probable[number : number + 1]} if field == "text" else {}
                yield {"type": f"{stem}.delta", "delta": piece, **at, **logprobs, **self._padding()}
            for number, cited in enumerate(part.get("annotations", ())):
                annotation = {"annotation": cited, "annotation_index": number}
                yield {"type": "response.output_text.annotation.added", **annotation, **at}
            logprobs = {"logprobs": probable} if field == "text" else {}
            yield {"type": f"{stem}.done", field: part[field], **at, **logprobs}
            yield {"type": "response.content_part.done", "part": part, **at}

    def _reasoning_events(self, item: Item) -> Iterator[Event]:
        for index, part in enumerate(item["summary"]):
            at = {"summary_index": index}
            yield {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}, **at}
            for piece in self._tokens[part["text"]]:
                yield {"type": "response.reasoning_summary_text.delta", "delta": piece, **at, **self._padding()}
            yield {"type": "response.reasoning_summary_text.done", "text": part["text"], **at}
            yield {"type": "response.reasoning_summary_part.done", "part": part, **at}

    def _call_events(self, item: Item) -> Iterator[Event]:
        custom = item["type"] == "custom_tool_call"
        stem = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        text = item["input" if custom else "arguments"]
        half = len(text) // 2
        for piece in (text[:half], text[half:]):
            yield {"type": f"{stem}.delta", "delta": piece, **self._padding()}
        yield {"type": f"{stem}.done", **({"input": text} if custom else {"arguments": text, "name": item["name"]})}

    def _padding(self) -> Item:
        return {} if (self._body.get("stream_options") or {}).get("include_obfuscation") is False else _PADDING


_OPENING = ("created", "in_progress")


def _grouped(parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    """Return the parts of each item: neighbours of one kind are one item, but for calls and searches."""
    kinds = {Thought: "reasoning", HiddenThought: "reasoning", SaidText: "message", Declined: "message"}
    found: list[list[Part]] = []
    for part in parts:
        kind = kinds.get(type(part))
        if kind is not None and found and kinds.get(type(found[-1][0])) == kind:
            found[-1].append(part)
        else:
            found.append([part])
    return [tuple(group) for group in found]


def unsaid_in_responses(script: Script) -> str | None:
    """Return what of ``script`` the format cannot say at all."""
    if script.pauses:
        return "a turn that pauses"
    return "a stop sequence" if script.ending == "stop_sequence" else only_of_gemini(script)
