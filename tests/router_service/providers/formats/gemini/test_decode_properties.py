"""Test that no answer makes anything but events of the grammar or a typed error, whatever its fields hold."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router_service.core.errors import ERROR_STATUS, ApiError
from router_service.core.events import fold
from tests.router_service.providers.formats.decoded_streams import check_grammar
from tests.router_service.providers.formats.gemini.gemini_world import FORMAT, SEARCHING, endpoint, events_of

WORDS = ["STOP", "MAX_TOKENS", "SAFETY", "AUDIO", "IMAGE", "model", "image/png", "gemini-2.5-pro", "34s", "ON_DEMAND"]
FIELDS = [
    "candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args", "id",
    "inlineData", "mimeType", "data", "fileData", "fileUri", "executableCode", "codeExecutionResult", "code", "output",
    "finishReason", "finishMessage", "index", "groundingMetadata", "groundingChunks", "groundingSupports", "segment",
    "startIndex", "endIndex", "groundingChunkIndices", "web", "uri", "title", "webSearchQueries", "citationMetadata",
    "citationSources", "usageMetadata", "promptTokenCount", "candidatesTokenCount", "promptTokensDetails", "modality",
    "tokenCount", "promptFeedback", "blockReason", "error", "status", "code", "message", "details", "retryDelay",
    "reason", "responseId", "modelVersion", "logprobsResult", "chosenCandidates", "topCandidates", "token",
    "logProbability", "toolCall", "trafficType",
]  # fmt: skip
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
fields = st.sampled_from(FIELDS)
values: st.SearchStrategy[Any] = st.recursive(
    leaves | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=20,
)
objects = st.dictionaries(fields, values, max_size=6)
parts = st.lists(objects, max_size=4)
candidates = st.builds(lambda held, more: more | {"content": {"parts": held}}, parts, objects)
bodies = st.builds(lambda found, more: more | {"candidates": found}, st.lists(candidates, max_size=2), objects)


@given(st.lists(bodies | objects | values, max_size=6))
def test_any_chunks_keep_the_grammar(found: list[Any]) -> None:
    """Decode a stream whose chunks have any fields of any type."""
    check_grammar(events_of([f"data: {json.dumps(body)}\n\n".encode() for body in found], SEARCHING))


@given(bodies | values)
def test_any_response_is_an_answer_or_a_typed_error(body: Any) -> None:
    """Decode a response with any fields of any type."""
    with contextlib.suppress(ApiError):
        fold(FORMAT.decode(json.dumps(body).encode(), SEARCHING))


@given(st.sampled_from([400, 401, 403, 404, 408, 429, 500, 503]), values | objects)
def test_any_failure_is_a_typed_error(status: int, body: Any) -> None:
    """Read a response with a status of failure and any fields of any type."""
    for found in (body, {"error": body}, [{"error": body}]):
        error = FORMAT.error(status, json.dumps(found).encode(), {}, endpoint())
        assert error.error_type in ERROR_STATUS and error.upstream_status == status and error.message
