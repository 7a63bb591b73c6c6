"""List the documented fields of a messages request.

Source: the request types of the ``anthropic`` package 2.14 (``types/message_create_params.py``,
``types/content_block_param.py`` and the types that they name), read on 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.shapes import Anything, Either, Flag, Listed, Nullable, Number, Object, OneOf, Shape, String, Tagged

KIND = String()
OBJECT = Object({}, extra=Anything())
ID = String(pattern="^[a-zA-Z0-9_-]+$")
SERVER_ID = String(pattern="^srvtoolu_[a-zA-Z0-9_]+$")
TOOL_NAME = String(pattern="^[a-zA-Z0-9_-]{1,128}$")
CACHE = Nullable(Tagged("type", {"ephemeral": Object({"type": KIND, "ttl": OneOf(("5m", "1h"))})}))
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
CALLER: dict[str, Shape] = {"caller": OBJECT}


def _block(fields: Mapping[str, Shape], *required: str, cached: bool = True) -> Object:
    return Object({"type": KIND, **fields, **({"cache_control": CACHE} if cached else {})}, required)


def _source(fields: Mapping[str, Shape], *required: str) -> Object:
    return Object({"type": KIND, **fields}, required)


URL_SOURCE = _source({"url": String()}, "url")
FILE_SOURCE = _source({"file_id": String()}, "file_id")
IMAGE_SOURCE = Tagged(
    "type",
    {
        "base64": _source({"data": String(), "media_type": OneOf(IMAGE_TYPES)}, "media_type", "data"),
        "url": URL_SOURCE,
        "file": FILE_SOURCE,
    },
)
DOCUMENT_SOURCE = Tagged(
    "type",
    {
        "base64": _source({"data": String(), "media_type": OneOf(("application/pdf",))}, "media_type", "data"),
        "text": _source({"data": String(), "media_type": OneOf(("text/plain",))}, "media_type", "data"),
        "content": _source({"content": Either((String(), Listed(OBJECT)))}, "content"),
        "url": URL_SOURCE,
        "file": FILE_SOURCE,
    },
)
CITATIONS = Nullable(Object({"enabled": Flag()}))
TEXT = _block({"text": String(), "citations": Nullable(Listed(OBJECT))}, "text")
IMAGE = _block({"source": IMAGE_SOURCE, "transformations": Nullable(OBJECT)}, "source")
DOCUMENT = _block(
    {
        "source": DOCUMENT_SOURCE,
        "citations": CITATIONS,
        "context": Nullable(String()),
        "title": Nullable(String()),
    },
    "source",
)
SEARCH_RESULT = _block(
    {
        "content": Listed(Tagged("type", {"text": TEXT})),
        "source": String(),
        "title": String(),
        "citations": Object({"enabled": Flag()}),
    },
    "content", "source", "title",
)  # fmt: skip
RESULT_PARTS = Tagged(
    "type",
    {
        "text": TEXT,
        "image": IMAGE,
        "search_result": SEARCH_RESULT,
        "document": DOCUMENT,
        "tool_reference": _block({"tool_name": String()}, "tool_name"),
        "browser_state": Object({}, extra=Anything()),
    },
)
HOSTED_RESULT = _block({"tool_use_id": SERVER_ID, "content": Anything(), **CALLER}, "tool_use_id", "content")
CONTENT_BLOCK = Tagged(
    "type",
    {
        "text": TEXT,
        "image": IMAGE,
        "document": DOCUMENT,
        "search_result": SEARCH_RESULT,
        "thinking": _block({"thinking": String(), "signature": String()}, "signature", "thinking", cached=False),
        "redacted_thinking": _block({"data": String()}, "data", cached=False),
        "tool_use": _block(
            {"id": ID, "name": String(most=200), "input": OBJECT, "toolset_name": Nullable(String()), **CALLER},
            "id", "name", "input",
        ),
        "tool_result": _block(
            {
                "tool_use_id": ID,
                "content": Either((String(), Listed(RESULT_PARTS))),
                "is_error": Flag(),
                "toolset_name": Nullable(String()),
            },
            "tool_use_id",
        ),
        "server_tool_use": _block(
            {"id": SERVER_ID, "name": String(), "input": OBJECT, **CALLER}, "id", "name", "input"
        ),
        "web_search_tool_result": HOSTED_RESULT,
        "web_fetch_tool_result": HOSTED_RESULT,
        "code_execution_tool_result": HOSTED_RESULT,
        "bash_code_execution_tool_result": HOSTED_RESULT,
        "text_editor_code_execution_tool_result": HOSTED_RESULT,
        "tool_search_tool_result": HOSTED_RESULT,
        "container_upload": _block({"file_id": String()}, "file_id"),
    },
)  # fmt: skip
CONTENT = Either((String(), Listed(CONTENT_BLOCK)))
# Roles that are not among these have a sentence of their own (``lab/anthropic_history.py``).
MESSAGE = Object({"role": String(), "content": CONTENT, "output_config": OBJECT}, ("role", "content"))

OFFER: dict[str, Shape] = {
    "cache_control": CACHE,
    "allowed_callers": Listed(String()),
    "defer_loading": Flag(),
    "strict": Flag(),
}
SCHEMA = Object({"type": OneOf(("object",))}, ("type",), extra=Anything())
CUSTOM_TOOL = Object(
    {
        **OFFER,
        "type": Nullable(KIND),
        "name": TOOL_NAME,
        "description": String(),
        "input_schema": SCHEMA,
        "eager_input_streaming": Nullable(Flag()),
        "input_examples": Listed(OBJECT),
    },
    ("name", "input_schema"),
)
# Tools of the vendor are named by versioned types; their own options are not checked.
VENDOR_TOOL_TYPES = (
    "bash_20250124", "text_editor_20250124", "text_editor_20250429", "text_editor_20250728", "memory_20250818",
    "code_execution_20250522", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521",
    "browser_20260801", "computer_20260801", "web_search_20250305", "web_search_20260209", "web_search_20260318",
    "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318",
    "tool_search_tool_regex_20251119", "tool_search_tool_bm25_20251119",
)  # fmt: skip
TOOL = Tagged(
    "type",
    {"custom": CUSTOM_TOOL, **{kind: Object({**OFFER}, extra=Anything()) for kind in VENDOR_TOOL_TYPES}},
    default="custom",
)
PARALLEL: dict[str, Shape] = {"type": KIND, "disable_parallel_tool_use": Flag()}
TOOL_CHOICE = Tagged(
    "type",
    {
        "auto": Object(PARALLEL),
        "any": Object(PARALLEL),
        "tool": Object({**PARALLEL, "name": String()}, ("name",)),
        "none": Object({"type": KIND}),
    },
)
DISPLAY: dict[str, Shape] = {"type": KIND, "display": Nullable(OneOf(("summarized", "omitted")))}
THINKING = Tagged(
    "type",
    {
        "enabled": Object({**DISPLAY, "budget_tokens": Number(1024, whole=True)}, ("budget_tokens",)),
        "disabled": Object({"type": KIND}),
        "adaptive": Object(DISPLAY),
        "between_tools": Object({"type": KIND}),
    },
)
SPEED = Nullable(OneOf(("standard", "fast")))
COMMON: dict[str, Shape] = {
    "messages": Listed(MESSAGE),
    "model": String(),
    "cache_control": CACHE,
    "output_config": Object(
        {"effort": Nullable(OneOf(("low", "medium", "high", "xhigh", "max"))), "format": Nullable(OBJECT)}
    ),
    "speed": SPEED,
    "system": Either((String(), Listed(Tagged("type", {"text": TEXT}, shown=False)))),
    "thinking": THINKING,
    "tool_choice": TOOL_CHOICE,
    "tools": Listed(TOOL),
    "user_profile_id": String(),
    "workspace_id": String(),
}
MESSAGES_REQUEST = Object(
    {
        **COMMON,
        "max_tokens": Number(1, whole=True),
        "container": Nullable(Either((String(), OBJECT))),
        "diagnostics": Nullable(OBJECT),
        "inference_geo": Nullable(String()),
        "metadata": Object({"user_id": Nullable(String(most=256))}),
        "service_tier": OneOf(("auto", "standard_only")),
        "stop_sequences": Listed(String()),
        "stream": Flag(),
    },
    ("model", "messages", "max_tokens"),
)
COUNT_REQUEST = Object(COMMON, ("model", "messages"))
# Version 2026-10-21 of the API has no sampling parameters.
SAMPLING: dict[str, Shape] = {"temperature": Number(0, 1), "top_k": Number(0, whole=True), "top_p": Number(0, 1)}
# Fields of features in beta, which need the header ``anthropic-beta``; their shapes are not checked.
BETA_FIELDS: dict[str, Shape] = {"context_management": OBJECT, "mcp_servers": Listed(OBJECT)}
