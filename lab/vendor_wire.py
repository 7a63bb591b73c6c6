"""Implement the provider's side of chat completions as vendors other than OpenAI speak them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.chat_vendors import ChatVendor
from lab.conversation import Conversation
from lab.openai_script import chat_events, whole_chat
from lab.openai_wire import OpenAIWire
from lab.script import Script
from lab.shapes import RequestRefused
from lab.text import Completion
from lab.vendor_refusals import is_thinking, refuse_vendor
from lab.vendor_shapes import VendorShapes

_DATA, _DONE = b"data: ", b"[DONE]"


class VendorWire(OpenAIWire):
    """Implement ``Wire`` for one vendor."""

    def __init__(self, provider: str, vendor: ChatVendor) -> None:
        super().__init__()
        self._provider, self._vendor = provider, vendor

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        refuse_vendor(self._provider, body, headers)

    def converse(self, body: dict[str, Any]) -> Conversation:
        thinks = self._vendor.reasoning != "hidden" and is_thinking(body, self._vendor)
        return replace(super().converse(body), thinks=thinks)

    def whole(self, completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return VendorShapes(self._vendor).completion(super().whole(completion, body))

    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return self._written(super().events(completion, body))

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return VendorShapes(self._vendor).completion(whole_chat(scripts, completion, body, thoughts=True))

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return self._written(chat_events(scripts, completion, body, thoughts=True))

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:
        return _ENVELOPES[self._vendor.envelope](refused, request_id)

    def _written(self, events: list[bytes]) -> list[bytes]:
        shapes = VendorShapes(self._vendor)
        chunks = [json.loads(event.removeprefix(_DATA)) for event in events if event.strip() != _DATA + _DONE]
        return [_event(chunk) for chunk in _chunks(shapes, chunks)] + [_DATA + _DONE + b"\n\n"]


def _chunks(shapes: VendorShapes, chunks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for chunk in shapes.placed(chunks):
        yield from shapes.chunk(chunk)


def _event(chunk: dict[str, Any]) -> bytes:
    return _DATA + json.dumps(chunk).encode() + b"\n\n"


def _openai(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"error": {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}}


def _mistral(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    if refused.status != 422:
        return {"object": "error", "message": refused.message, "type": refused.kind, "param": None, "code": "3280"}
    loc = ["body", *(refused.param or "").split(".")]
    detail = [{"type": "extra_forbidden", "loc": loc, "msg": refused.message, "input": None}]
    return {"object": "error", "message": {"detail": detail}, "type": refused.kind, "param": None, "code": None}


def _detail(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"detail": [{"type": "value_error", "loc": ["body", refused.param], "msg": refused.message}]}


def _xai(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"code": "Client specified an invalid argument", "error": refused.message}


def _bare(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"message": refused.message, "type": refused.kind, "param": "validation_error", "code": "wrong_api_format"}


def _numeric(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"error": {"code": "1302" if refused.status == 429 else "1210", "message": refused.message}}


def _minimax(refused: RequestRefused, request_id: str) -> dict[str, Any]:
    error = {"type": "bad_request_error", "message": refused.message, "http_code": str(refused.status)}
    return {"type": "error", "error": error, "request_id": request_id}


def _flat(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    kind = "BadRequestError" if refused.status == 400 else "InternalServerError"
    return {"object": "error", "message": refused.message, "type": kind, "param": None, "code": refused.status}


def _coded(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"error": {"code": refused.status, "message": refused.message, "type": refused.kind}}


def _text(refused: RequestRefused, _request_id: str) -> dict[str, Any]:
    return {"error": refused.message}


_ENVELOPES = {
    "openai": _openai, "mistral": _mistral, "detail": _detail, "xai": _xai, "bare": _bare, "numeric": _numeric,
    "minimax": _minimax, "flat": _flat, "coded": _coded, "text": _text,
}  # fmt: skip
