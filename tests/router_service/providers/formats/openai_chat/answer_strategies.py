"""Draws answers of providers: what they say, the odd fields beside it, and how the bytes of their streams are cut."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

ODD: list[Any] = [
    None, True, False, 0, -1, 7, 1.5, 10**30, "", "x", "0", [], {}, [None], [7], ["x"], [{}], {"x": None}, {"type": 7},
    [{"type": "x"}], [[[]]], {"index": "0", "id": 5}, [{"type": "text", "text": None}],
]  # fmt: skip
# Fields whose odd values may not cost the text, by where they stand. Errors are another test's.
CHUNK_FIELDS = (
    "id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "x_groq", "citations",
    "provider", "obfuscation", "prompt_filter_results", "error",
)  # fmt: skip
CHOICE_FIELDS = ("index", "logprobs", "usage", "content_filter_results", "seed", "stop_reason", "matched_stop")
SAID_FIELDS = (
    "role", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "function_call",
    "audio", "annotations", "images", "name", "token_id", "tool_call_id", "thinking",
)  # fmt: skip
USAGE_FIELDS = (
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "prompt_tokens_details",
    "completion_tokens_details", "prompt_cache_hit_tokens", "input_tokens", "reasoning_tokens", "cost",
)  # fmt: skip
REASONS = [
    "stop", "length", "eos", "model_length", "tool_calls", "sensitive", "content_filter", "STOP", "abc", "end_turn",
]  # fmt: skip
NO_REASONS: list[Any] = [None, "", 7, [], {}]
_VALUES = st.sampled_from(ODD)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)


@dataclass(frozen=True)
class DrawnAnswer:
    """Holds what an answer says, in pieces, and the odd fields of each of its chunks or of its body."""

    pieces: list[str]
    finish: Any
    odd: list[tuple[str, str, Any]]
    usage: dict[str, Any]
    apart: bool

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def body(self) -> bytes:
        """Returns the non-streaming response."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": self.finish}
        found = {"id": "c", "choices": [choice], "usage": self.usage}
        for _, place, name, value in self._placed():
            {"chunk": found, "choice": choice, "said": message}[place][name] = value
        return json.dumps(found, ensure_ascii=self.apart).encode()

    def events(self) -> list[bytes]:
        """Returns the data of the events of the stream."""
        deltas: list[dict[str, Any]] = [{"role": "assistant"}, *({"content": piece} for piece in self.pieces), {}]
        chunks: list[dict[str, Any]] = [
            {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        chunks[-1]["choices"][0]["finish_reason"] = self.finish
        for at, place, name, value in self._placed():
            chunk = chunks[at % len(chunks)]
            choice = chunk["choices"][0]
            {"chunk": chunk, "choice": choice, "said": choice["delta"]}[place][name] = value
        if self.apart:
            chunks.append({"id": "c", "choices": [], "usage": self.usage})
        else:
            chunks[-1]["usage"] = self.usage
        return [*(json.dumps(chunk, ensure_ascii=self.apart).encode() for chunk in chunks), b"[DONE]"]

    def _placed(self) -> list[tuple[int, str, str, Any]]:
        return [(at * 7, place, name, value) for at, (place, name, value) in enumerate(self.odd)]


def _fields(place: str, names: tuple[str, ...]) -> st.SearchStrategy[tuple[str, str, Any]]:
    return st.tuples(st.just(place), st.sampled_from(names), _VALUES)


ODD_FIELDS = st.one_of(
    _fields("chunk", CHUNK_FIELDS), _fields("choice", CHOICE_FIELDS), _fields("said", SAID_FIELDS)
).filter(lambda field: field[1] != "error" or not field[2])
USAGES = st.dictionaries(st.sampled_from(USAGE_FIELDS), st.integers(0, 9) | _VALUES, max_size=5)
ANSWERS = st.builds(
    DrawnAnswer,
    st.lists(_TEXT, max_size=4),
    st.sampled_from([*REASONS, *NO_REASONS]),
    st.lists(ODD_FIELDS, max_size=4),
    USAGES,
    st.booleans(),
)
# Line ends, spaces, comments and names with which servers frame their events.
FRAMES = st.sampled_from(
    ["data: %s\n\n", "data:%s\n\n", "data: %s\r\n\r\n", ": keep-alive\n\ndata: %s\n\n", "event: message\ndata: %s\n\n",
     "id: 1\ndata: %s\n\n", "data:\n\ndata: %s\n\n", "retry: 5\ndata: %s\n\n"]
)  # fmt: skip
ERRORS: list[Any] = [
    {"error": {"message": "no", "code": 429}}, {"error": "no"}, {"error": 7}, {"error": ["x"]}, {"error": {"x": 1}},
    {"object": "error", "message": "no", "code": 400}, {"detail": "no"}, {"detail": [{"loc": ["a", 1], "msg": "no"}]},
    {"errors": [{"message": "no"}]}, {"errors": [7]}, [{"error": {"message": "no"}}], {"message": {"detail": [{}]}},
    {"code": "1210", "msg": "no"}, {"error": {"message": {"detail": 7}, "code": [], "type": {}}}, {"choices": None},
    {"type": "error", "error": {"type": "bad_request_error", "message": "no", "http_code": "400"}}, {"choices": {}},
]  # fmt: skip
_JUNK_FIELDS = ("error", "choices", "message", "delta", "usage", "code", *SAID_FIELDS)
JUNK = st.recursive(
    st.sampled_from(ODD) | st.sampled_from(ERRORS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("error", "choices", "message", "delta", "usage", "code", *SAID_FIELDS)), inner, max_size=3
        )
    ),
    max_leaves=6,
)
