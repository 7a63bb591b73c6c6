"""List the documented fields of a request to the Responses API.

Source: the request types of the ``openai`` package 3.54 (``types/responses/response_create_params.py`` and the item,
content and tool types beside it), read on 2026-11-29. Ranges are those of their docstrings and of the vendor's
refusals.
"""

from __future__ import annotations

from lab.openai_fields import CACHE_POINT, EFFORTS, FUNCTION_NAME, KIND, OBJECT, TIERS
from lab.shapes import Either, Flag, Listed, Nullable, Number, Object, OneOf, Shape, String, Tagged

STATUS = OneOf(("in_progress", "completed", "incomplete"))
ID = String(least=1, most=64)
CALL_ID = String(least=1, most=64)
DETAIL = OneOf(("auto", "low", "high", "original"))
INPUT_TEXT = Object({"type": KIND, "text": String(), "prompt_cache_breakpoint": CACHE_POINT}, ("text",))
INPUT_IMAGE = Object(
    {
        "type": KIND,
        "detail": Nullable(DETAIL),
        "image_url": Nullable(String()),
        "file_id": Nullable(String()),
        "prompt_cache_breakpoint": CACHE_POINT,
    }
)
INPUT_FILE = Object(
    {
        "type": KIND,
        "detail": DETAIL,
        "file_data": String(),
        "file_url": String(),
        "file_id": Nullable(String()),
        "filename": String(),
        "prompt_cache_breakpoint": CACHE_POINT,
    }
)
OUTPUT_TEXT = Object(
    {"type": KIND, "text": String(), "annotations": Listed(OBJECT), "logprobs": Listed(OBJECT)}, ("text",)
)
REFUSAL = Object({"type": KIND, "refusal": String()}, ("refusal",))
INPUT_PARTS = {"input_text": INPUT_TEXT, "input_image": INPUT_IMAGE, "input_file": INPUT_FILE}
OUTPUT_PARTS = {"output_text": OUTPUT_TEXT, "refusal": REFUSAL}
CONTENT = Either((String(), Listed(Tagged("type", {**INPUT_PARTS, **OUTPUT_PARTS}))))
OUTPUT = Either((String(), Listed(Tagged("type", INPUT_PARTS))))
_ITEM: dict[str, Shape] = {"type": KIND, "id": ID, "status": Nullable(STATUS)}
_CALL: dict[str, Shape] = {**_ITEM, "call_id": CALL_ID, "name": String(), "namespace": String(), "caller": OBJECT}
_ANSWER: dict[str, Shape] = {**_ITEM, "call_id": CALL_ID, "output": OUTPUT, "caller": OBJECT}
_SUMMARY = Object({"type": OneOf(("summary_text",)), "text": String()}, ("type", "text"))
_THOUGHT = Object({"type": OneOf(("reasoning_text",)), "text": String()}, ("type", "text"))
# Items of tools that the vendor runs are taken as they came.
HOSTED = (
    "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "computer_call",
    "computer_call_output", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
    "apply_patch_call", "apply_patch_call_output", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response",
    "mcp_call", "compaction", "tool_search_call", "tool_search_output",
)  # fmt: skip
INPUT_ITEM = Tagged(
    "type",
    {
        "message": Object(
            {
                **_ITEM,
                "role": OneOf(("user", "assistant", "system", "developer")),
                "content": CONTENT,
                "phase": Nullable(OneOf(("commentary", "final_answer"))),
            },
            ("role", "content"),
        ),
        "function_call": Object({**_CALL, "arguments": String()}, ("call_id", "name", "arguments")),
        "function_call_output": Object(_ANSWER, ("call_id", "output")),
        "custom_tool_call": Object({**_CALL, "input": String()}, ("call_id", "name", "input")),
        "custom_tool_call_output": Object(_ANSWER, ("call_id", "output")),
        "reasoning": Object(
            {
                **_ITEM,
                "summary": Listed(_SUMMARY),
                "content": Nullable(Listed(_THOUGHT)),
                "encrypted_content": Nullable(String()),
            },
            ("summary",),
        ),
        "item_reference": Object({"type": KIND, "id": ID}, ("id",)),
        **dict.fromkeys(HOSTED, OBJECT),
    },
    shown=False,
    default="message",
)
GRAMMAR = Tagged(
    "type",
    {
        "text": Object({"type": KIND}),
        "grammar": Object(
            {"type": KIND, "definition": String(), "syntax": OneOf(("lark", "regex"))}, ("definition", "syntax")
        ),
    },
)
HOSTED_TOOLS = (
    "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "file_search",
    "code_interpreter", "image_generation", "mcp", "local_shell", "shell", "apply_patch", "computer_use_preview",
)  # fmt: skip
RESPONSE_TOOL = Tagged(
    "type",
    {
        "function": Object(
            {
                "type": KIND,
                "name": FUNCTION_NAME,
                "description": Nullable(String()),
                "parameters": Nullable(OBJECT),
                "strict": Nullable(Flag()),
            },
            ("name", "parameters"),
        ),
        "custom": Object({"type": KIND, "name": FUNCTION_NAME, "description": String(), "format": GRAMMAR}, ("name",)),
        **dict.fromkeys(HOSTED_TOOLS, OBJECT),
    },
)
_NAME_ONLY = Object({"type": KIND, "name": String()}, ("name",))
RESPONSE_TOOL_CHOICE = Either(
    (
        OneOf(("none", "auto", "required")),
        Tagged(
            "type",
            {
                "function": _NAME_ONLY,
                "custom": _NAME_ONLY,
                "allowed_tools": Object(
                    {"type": KIND, "mode": OneOf(("auto", "required")), "tools": Listed(OBJECT)}, ("mode", "tools")
                ),
                **dict.fromkeys(HOSTED_TOOLS, OBJECT),
            },
        ),
    )
)
TEXT_FORMAT = Tagged(
    "type",
    {
        "text": Object({"type": KIND}),
        "json_object": Object({"type": KIND}),
        "json_schema": Object(
            {
                "type": KIND,
                "name": FUNCTION_NAME,
                "description": String(),
                "schema": OBJECT,
                "strict": Nullable(Flag()),
            },
            ("name", "schema"),
        ),
    },
)
INCLUDABLE = OneOf(
    (
        "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
        "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
        "reasoning.encrypted_content", "message.output_text.logprobs",
    )
)  # fmt: skip
SUMMARY = Nullable(OneOf(("auto", "concise", "detailed")))

RESPONSES_REQUEST = Object(
    {
        "model": String(),
        "input": Either((String(), Listed(INPUT_ITEM))),
        "instructions": Nullable(String()),
        "background": Nullable(Flag()),
        "context_management": Nullable(Listed(OBJECT)),
        "conversation": Nullable(Either((String(), OBJECT))),
        "include": Nullable(Listed(INCLUDABLE)),
        "max_output_tokens": Nullable(Number(16, whole=True)),
        "max_tool_calls": Nullable(Number(1, whole=True)),
        "metadata": Nullable(Object({}, extra=String(most=512))),
        "moderation": Nullable(OBJECT),
        "parallel_tool_calls": Nullable(Flag()),
        "previous_response_id": Nullable(String()),
        "prompt": Nullable(OBJECT),
        "prompt_cache_key": Nullable(String()),
        "prompt_cache_options": OBJECT,
        "prompt_cache_retention": Nullable(OneOf(("in_memory", "24h"))),
        "reasoning": Nullable(
            Object(
                {
                    "effort": Nullable(OneOf(EFFORTS)),
                    "summary": SUMMARY,
                    "generate_summary": SUMMARY,
                    "context": Nullable(OneOf(("auto", "current_turn", "all_turns"))),
                    "mode": String(),
                }
            )
        ),
        "safety_identifier": Nullable(String(most=128)),
        "service_tier": Nullable(OneOf((*TIERS, "ultrafast"))),
        "store": Nullable(Flag()),
        "stream": Nullable(Flag()),
        "stream_options": Nullable(Object({"include_obfuscation": Flag()})),
        "temperature": Nullable(Number(0, 2)),
        "text": Object({"format": TEXT_FORMAT, "verbosity": Nullable(OneOf(("low", "medium", "high")))}),
        "tool_choice": RESPONSE_TOOL_CHOICE,
        "tools": Listed(RESPONSE_TOOL, most=128),
        "top_logprobs": Nullable(Number(0, 20, whole=True)),
        "top_p": Nullable(Number(0, 1)),
        "truncation": Nullable(OneOf(("auto", "disabled"))),
        "user": String(most=64),
    }
)
