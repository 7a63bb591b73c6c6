"""List the documented fields of a chat completions request.

Source: the request types of the ``openai`` package 3.54 (``types/chat/completion_create_params.py`` and the message,
content part and tool types beside it), read on 2026-11-29. Ranges are those of their docstrings.
"""

from __future__ import annotations

from lab.shapes import Anything, Either, Flag, Listed, Nullable, Number, Object, OneOf, Shape, String, Tagged

FUNCTION_NAME = String(least=1, most=64, pattern="^[a-zA-Z0-9_-]+$")
OBJECT = Object({}, extra=Anything())
CACHE_POINT = Object({"mode": OneOf(("explicit",)), "ttl": OneOf(("30m", "12h"))}, ("mode",))
KIND = String()

TEXT_PART = Object({"type": KIND, "text": String(), "prompt_cache_breakpoint": CACHE_POINT}, ("text",))
REFUSAL_PART = Object({"type": KIND, "refusal": String()}, ("refusal",))
IMAGE_PART = Object(
    {
        "type": KIND,
        "image_url": Object({"url": String(), "detail": OneOf(("auto", "low", "high", "original"))}, ("url",)),
        "prompt_cache_breakpoint": CACHE_POINT,
    },
    ("image_url",),
)
AUDIO_PART = Object(
    {
        "type": KIND,
        "input_audio": Object({"data": String(), "format": OneOf(("wav", "mp3"))}, ("data", "format")),
        "prompt_cache_breakpoint": CACHE_POINT,
    },
    ("input_audio",),
)
FILE_PART = Object(
    {
        "type": KIND,
        "file": Object({"file_data": String(), "file_id": String(), "filename": String()}),
        "prompt_cache_breakpoint": CACHE_POINT,
    },
    ("file",),
)


def _content(**parts: Object) -> Either:
    return Either((String(), Listed(Tagged("type", parts))))


TEXTS = _content(text=TEXT_PART)
USER_CONTENT = _content(text=TEXT_PART, image_url=IMAGE_PART, input_audio=AUDIO_PART, file=FILE_PART)
CALLED = Object({"name": String(), "arguments": String()}, ("name", "arguments"))
# Source: the error body of OpenAI and Azure in issues of microsoft/autogen (#6377) and Portkey-AI/gateway (#1062).
CALL_ID = String(most=40)
TOOL_CALL = Tagged(
    "type",
    {
        "function": Object({"id": CALL_ID, "type": KIND, "function": CALLED}, ("id", "function")),
        "custom": Object(
            {
                "id": CALL_ID,
                "type": KIND,
                "custom": Object({"name": String(), "input": String()}, ("name", "input")),
            },
            ("id", "custom"),
        ),
    },
)
NAMED: dict[str, Shape] = {"role": KIND, "name": String()}
# Null content has a sentence of its own (``lab/openai_history.py``), so null has the right shape here.
MESSAGE = Tagged(
    "role",
    {
        "system": Object({**NAMED, "content": Nullable(TEXTS)}, ("content",)),
        "developer": Object({**NAMED, "content": Nullable(TEXTS)}, ("content",)),
        "user": Object({**NAMED, "content": Nullable(USER_CONTENT)}, ("content",)),
        "assistant": Object(
            {
                **NAMED,
                "content": Nullable(_content(text=TEXT_PART, refusal=REFUSAL_PART)),
                "refusal": Nullable(String()),
                "audio": Nullable(Object({"id": String()}, ("id",))),
                # The vendor's guides append its own messages to the history, and those have annotations.
                "annotations": Nullable(Listed(OBJECT)),
                "function_call": Nullable(CALLED),
                "tool_calls": Listed(TOOL_CALL, least=1),
            }
        ),
        "tool": Object({"role": KIND, "content": Nullable(TEXTS), "tool_call_id": CALL_ID}, ("content",)),
        "function": Object({**NAMED, "content": Nullable(String())}, ("content", "name")),
    },
)
FUNCTION = Object(
    {"name": FUNCTION_NAME, "description": String(), "parameters": OBJECT, "strict": Nullable(Flag())}, ("name",)
)
GRAMMAR = Object({"definition": String(), "syntax": OneOf(("lark", "regex"))}, ("definition", "syntax"))
CUSTOM_FORMAT = Tagged(
    "type",
    {"text": Object({"type": KIND}), "grammar": Object({"type": KIND, "grammar": GRAMMAR}, ("grammar",))},
)
TOOL = Tagged(
    "type",
    {
        "function": Object({"type": KIND, "function": FUNCTION}, ("function",)),
        "custom": Object(
            {
                "type": KIND,
                "custom": Object({"name": FUNCTION_NAME, "description": String(), "format": CUSTOM_FORMAT}, ("name",)),
            },
            ("custom",),
        ),
    },
)
NAME_ONLY = Object({"name": String()}, ("name",))
TOOL_CHOICE = Either(
    (
        OneOf(("none", "auto", "required")),
        Tagged(
            "type",
            {
                "function": Object({"type": KIND, "function": NAME_ONLY}, ("function",)),
                "custom": Object({"type": KIND, "custom": NAME_ONLY}, ("custom",)),
                "allowed_tools": Object({"type": KIND, "allowed_tools": OBJECT}, ("allowed_tools",)),
            },
        ),
    )
)
JSON_SCHEMA = Object(
    {"name": FUNCTION_NAME, "description": String(), "schema": OBJECT, "strict": Nullable(Flag())}, ("name",)
)
RESPONSE_FORMAT = Tagged(
    "type",
    {
        "text": Object({"type": KIND}),
        "json_object": Object({"type": KIND}),
        "json_schema": Object({"type": KIND, "json_schema": JSON_SCHEMA}, ("json_schema",)),
    },
)
TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

CHAT_REQUEST = Object(
    {
        "messages": Listed(MESSAGE, least=1),
        "model": String(),
        "audio": Nullable(OBJECT),
        "frequency_penalty": Nullable(Number(-2, 2)),
        "function_call": Either((OneOf(("none", "auto")), NAME_ONLY)),
        "functions": Listed(FUNCTION, least=1, most=128),
        "logit_bias": Nullable(Object({}, extra=Number(-100, 100))),
        "logprobs": Nullable(Flag()),
        "max_completion_tokens": Nullable(Number(1, whole=True)),
        "max_tokens": Nullable(Number(1, whole=True)),
        "metadata": Nullable(Object({}, extra=String(most=512))),
        "modalities": Nullable(Listed(OneOf(("text", "audio")))),
        "moderation": Nullable(OBJECT),
        "n": Nullable(Number(1, 128, whole=True)),
        "parallel_tool_calls": Flag(),
        "prediction": Nullable(OBJECT),
        "presence_penalty": Nullable(Number(-2, 2)),
        "prompt_cache_key": Nullable(String()),
        "prompt_cache_options": OBJECT,
        "prompt_cache_retention": Nullable(OneOf(("in_memory", "24h"))),
        "reasoning_effort": Nullable(OneOf(EFFORTS)),
        "response_format": RESPONSE_FORMAT,
        "safety_identifier": Nullable(String()),
        "seed": Nullable(Number(-(2**63), 2**63 - 1, whole=True)),
        "service_tier": Nullable(OneOf(TIERS)),
        "stop": Nullable(Either((String(), Listed(String(), most=4)))),
        "store": Nullable(Flag()),
        "stream": Nullable(Flag()),
        "stream_options": Nullable(Object({"include_usage": Flag(), "include_obfuscation": Flag()})),
        "temperature": Nullable(Number(0, 2)),
        "tool_choice": TOOL_CHOICE,
        "tools": Listed(TOOL, least=1, most=128),
        "top_logprobs": Nullable(Number(0, 20, whole=True)),
        "top_p": Nullable(Number(0, 1)),
        "user": String(),
        "verbosity": Nullable(OneOf(("low", "medium", "high"))),
        "web_search_options": OBJECT,
    },
    ("messages",),
)
