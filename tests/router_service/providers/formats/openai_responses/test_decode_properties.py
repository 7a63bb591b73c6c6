"""Test that no answer makes anything but events of the grammar or a typed error, whatever its fields hold."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.core.events import Failed, fold
from tests.router_service.providers.formats.openai_responses.responses_world import CONTEXT, FORMAT, events_of

WORDS = ["message", "reasoning", "function_call", "custom_tool_call", "output_text", "completed", "max_output_tokens"]
FIELDS = [
    "type", "id", "content", "summary", "text", "arguments", "name", "call_id", "annotations", "logprobs", "token",
    "logprob", "status", "error", "output", "item_id", "output_index", "content_index", "usage", "input_tokens", "code",
    "message", "incomplete_details", "reason", "item", "part", "delta", "response", "annotation",
]  # fmt: skip
STEPS = [
    "created", "output_item.added", "output_item.done", "content_part.added", "content_part.done", "output_text.delta",
    "output_text.done", "refusal.delta", "function_call_arguments.delta", "function_call_arguments.done",
    "reasoning_summary_text.delta", "reasoning_summary_part.done", "output_text.annotation.added", "completed",
    "custom_tool_call_input.done", "incomplete", "failed",
]  # fmt: skip
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
fields = st.sampled_from(FIELDS)
values: st.SearchStrategy[Any] = st.recursive(
    leaves | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=20,
)
objects = st.dictionaries(fields, values, max_size=6)


@given(st.lists(st.tuples(st.sampled_from(STEPS), objects), max_size=6))
def test_any_events_keep_the_grammar(steps: list[tuple[str, dict[str, Any]]]) -> None:
    """Decode a stream whose events have any fields of any type."""
    bodies = [fields | {"type": f"response.{step}"} for step, fields in steps]
    events = events_of([f"data: {json.dumps(body)}\n\n".encode() for body in bodies])
    # Data beyond all bounds end the stream with an error of their own.
    ends = [at for at, event in enumerate(events) if isinstance(event, Failed)]
    fold(events[: ends[0] + 1] if ends else events)


@given(objects)
def test_any_response_is_an_answer_or_a_typed_error(body: dict[str, Any]) -> None:
    """Decode a response with any fields of any type."""
    with contextlib.suppress(ApiError):
        fold(FORMAT.decode(json.dumps(body).encode(), CONTEXT))
