"""Rewrite OpenAI's completions and chunks to the shapes in which another vendor sends them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from lab.chat_vendors import ChatVendor

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_OWN_TURN_FIELDS = ("refusal", "annotations")


class VendorShapes:
    """Rewrite one answer. Tags of reasoning are open or closed by choice, and calls are counted."""

    def __init__(self, vendor: ChatVendor) -> None:
        self._vendor = vendor
        self._open: set[int] = set()
        self._calls: dict[tuple[int, int], dict[str, Any]] = {}

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a non-streaming response."""
        for choice in body["choices"]:
            message = choice["message"]
            for name in _OWN_TURN_FIELDS:
                if not message.get(name):
                    message.pop(name, None)
            thought = message.pop("reasoning_content", None)
            if thought:
                self._tell(message, thought)
            for call in message.get("tool_calls") or ():
                call["id"] = self._call_id(call["id"], call)
            choice["finish_reason"] = self._reason(choice["finish_reason"])
        self._count(body, body.pop("usage", None), body["choices"])
        return body

    def placed(self, chunks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the chunks with the usage where the vendor has it."""
        if self._vendor.usage == "apart" or not chunks or chunks[-1]["choices"]:
            for chunk in chunks:
                yield self._counted(chunk)
            return
        *spoken, last = chunks
        for chunk in spoken:
            chunk.pop("usage", None)
            if self._vendor.usage == "every" or chunk is spoken[-1]:
                self._count(chunk, dict(last["usage"]), chunk["choices"])
            yield chunk

    def chunk(self, chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the chunks that the vendor sends in place of one."""
        for choice in chunk["choices"]:
            delta, index = choice["delta"], choice["index"]
            for name in _OWN_TURN_FIELDS:
                if not delta.get(name):
                    delta.pop(name, None)
            thought = delta.pop("reasoning_content", None)
            if thought is not None:
                self._think(delta, index, thought)
            elif index in self._open and (delta.get("content") or delta.get("tool_calls") or choice["finish_reason"]):
                self._open.discard(index)
                delta["content"] = f"\n</think>\n\n{delta.get('content') or ''}"
            if delta.get("tool_calls"):
                delta["tool_calls"] = [self._piece(index, call) for call in delta["tool_calls"]]
                if self._vendor.calls == "whole":
                    del delta["tool_calls"]
            if choice["finish_reason"]:
                choice["finish_reason"] = self._reason(choice["finish_reason"])
                if self._vendor.calls == "whole" and (calls := self._whole_calls(index)):
                    delta["tool_calls"] = calls
        yield chunk

    def _tell(self, message: dict[str, Any], thought: str) -> None:
        match self._vendor.reasoning:
            case "list":
                said = [{"type": "text", "text": message["content"]}] if message.get("content") else []
                message["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}, *said]
            case "tags":
                message["content"] = f"<think>\n{thought}\n</think>\n\n{message.get('content') or ''}"
            case "reasoning" | "reasoning_content":
                message[self._vendor.reasoning] = thought

    def _think(self, delta: dict[str, Any], index: int, thought: str) -> None:
        match self._vendor.reasoning:
            case "list":
                delta["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}]
            case "tags":
                delta["content"] = thought if index in self._open else f"<think>\n{thought}"
                self._open.add(index)
            case "reasoning" | "reasoning_content":
                delta[self._vendor.reasoning] = thought

    def _piece(self, index: int, call: dict[str, Any]) -> dict[str, Any]:
        place = index, call["index"]
        known = self._calls.get(place)
        if known is None:
            call["id"] = self._call_id(call["id"], call)
            self._calls[place] = {**call, call["type"]: dict(call[call["type"]])}
            known = self._calls[place]
        else:
            kind, field = known["type"], "input" if known["type"] == "custom" else "arguments"
            known[kind][field] += call[kind][field]
            match self._vendor.calls:
                case "empty_ids":
                    call |= {"id": "", "type": kind}
                case "repeated" | "no_index":
                    call |= {"id": known["id"], "type": kind}
        return {name: value for name, value in call.items() if name != "index" or self._vendor.calls != "no_index"}

    def _whole_calls(self, index: int) -> list[dict[str, Any]]:
        return [call for (choice, _), call in self._calls.items() if choice == index]

    def _call_id(self, made: str, call: dict[str, Any]) -> str:
        vendor = self._vendor
        if vendor.id_form:
            number = int.from_bytes(hashlib.sha256(made.encode()).digest()[:4], "big")
            return vendor.id_form.format(name=call[call["type"]]["name"], number=number)
        if vendor.id_length is None:
            return made
        digest = hashlib.sha256(made.encode()).digest()
        return "".join(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in digest[: vendor.id_length])

    def _reason(self, reason: str | None) -> str | None:
        return None if reason is None else self._vendor.finish.get(reason, reason)

    def _counted(self, chunk: dict[str, Any]) -> dict[str, Any]:
        if chunk.get("usage"):
            chunk["usage"] = self._spelt(chunk["usage"])
        return chunk

    def _count(self, body: dict[str, Any], usage: dict[str, Any] | None, choices: list[dict[str, Any]]) -> None:
        if usage is None:
            return
        spelt = self._spelt(usage)
        streamed = bool(choices) and "delta" in choices[0]
        if self._vendor.usage == "x_groq" and streamed:
            body["x_groq"] = {"id": "req_1", "usage": spelt}
        elif self._vendor.usage == "choice" and streamed:
            choices[0]["usage"] = spelt
        else:
            body["usage"] = spelt

    def _spelt(self, usage: dict[str, Any]) -> dict[str, Any]:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
        plain = {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
        match self._vendor.counts:
            case "top":
                return plain | {"cached_tokens": cached}
            case "hits":
                hits = {"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": usage["prompt_tokens"] - cached}
                return plain | hits | {"completion_tokens_details": {"reasoning_tokens": reasoning}}
            case "on_top":
                apart = {"completion_tokens": usage["completion_tokens"] - reasoning}
                return usage | apart
        return usage
