"""List the documented fields of a chat completions request.

Source: the request types of the ``openai`` package 3.54 (``types/chat/completion_create_params.py`` and the message,
content part and tool types beside it), read on 2026-11-29. Ranges are those of their docstrings.
"""

from __future__ import annotations

from lab.shapes import Anything, Either, Flag, Listed, Nullable, Number, OneOf, Record, Shape, Tagged, Text

FUNCTION_NAME = Text(least=1, most=64, pattern="^[a-zA-Z0-9_-]+$")
OBJECT = Record({}, extra=Anything())
CACHE_POINT = Record({"mode": OneOf(("explicit",)), "ttl": OneOf(("30m", "12h"))}, ("mode",))
KIND = Text()

TEXT_PART = Record({"type": KIND, "text": Text(), "prompt_cache_breakpoint": CACHE_POINT}, ("text",))
REFUSAL_PART = Record({"type": KIND, "refusal": Text()}, ("refusal",))
IMAGE_PART = Record(
    {
        "type": KIND,
        "image_url": Record({"url": Text(), "detail": OneOf(("auto", "low", "high", "original"))}, ("url",)),
        "prompt_cache_breakpoint": CACHE_POINT,
    },
    ("image_url",),
)
AUDIO_PART = Record(
    {
        "type": KIND,
        "input_audio": Record({"data": Text(), "format": OneOf(("wav", "mp3"))}, ("data", "format")),
        "prompt_cache_breakpoint": CACHE_POINT,
    },
    ("input_audio",),
)
FILE_PART = Record(
    {
        "type": KIND,
        "file": Record({"file_data": Text(), "file_id": Text(), "filename": Text()}),
        "prompt_cache_breakpoint": CACHE_POINT,
    },
    ("file",),
)


def _content(**parts: Record) -> Either:
    return Either((Text(), Listed(Tagged("type", parts))))


TEXTS = _content(text=TEXT_PART)
USER_CONTENT = _content(text=TEXT_PART, image_url=IMAGE_PART, input_audio=AUDIO_PART, file=FILE_PART)
CALLED = Record({"name": Text(), "arguments": Text()}, ("name", "arguments"))
TOOL_CALL = Tagged(
    "type",
    {
        "function": Record({"id": Text(), "type": KIND, "function": CALLED}, ("id", "function")),
        "custom": Record(
            {"id": Text(), "type": KIND, "custom": Record({"name": Text(), "input": Text()}, ("name", "input"))},
            ("id", "custom"),
        ),
    },
)
NAMED: dict[str, Shape] = {"role": KIND, "name": Text()}
# Null content has a sentence of its own (``lab/openai_history.py``), so null has the right shape here.
MESSAGE = Tagged(
    "role",
    {
        "system": Record({**NAMED, "content": Nullable(TEXTS)}, ("content",)),
        "developer": Record({**NAMED, "content": Nullable(TEXTS)}, ("content",)),
        "user": Record({**NAMED, "content": Nullable(USER_CONTENT)}, ("content",)),
        "assistant": Record(
            {
                **NAMED,
                "content": Nullable(_content(text=TEXT_PART, refusal=REFUSAL_PART)),
                "refusal": Nullable(Text()),
                "audio": Nullable(Record({"id": Text()}, ("id",))),
                # The vendor's guides append its own messages to the history, and those have annotations.
                "annotations": Nullable(Listed(OBJECT)),
                "function_call": Nullable(CALLED),
                "tool_calls": Listed(TOOL_CALL, least=1),
            }
        ),
        "tool": Record({"role": KIND, "content": Nullable(TEXTS), "tool_call_id": Text()}, ("content",)),
        "function": Record({**NAMED, "content": Nullable(Text())}, ("content", "name")),
    },
)
FUNCTION = Record(
    {"name": FUNCTION_NAME, "description": Text(), "parameters": OBJECT, "strict": Nullable(Flag())}, ("name",)
)
GRAMMAR = Record({"definition": Text(), "syntax": OneOf(("lark", "regex"))}, ("definition", "syntax"))
CUSTOM_FORMAT = Tagged(
    "type", {"text": Record({"type": KIND}), "grammar": Record({"type": KIND, "grammar": GRAMMAR}, ("grammar",))}
)
TOOL = Tagged(
    "type",
    {
        "function": Record({"type": KIND, "function": FUNCTION}, ("function",)),
        "custom": Record(
            {
                "type": KIND,
                "custom": Record({"name": FUNCTION_NAME, "description": Text(), "format": CUSTOM_FORMAT}, ("name",)),
            },
            ("custom",),
        ),
    },
)
NAME_ONLY = Record({"name": Text()}, ("name",))
TOOL_CHOICE = Either(
    (
        OneOf(("none", "auto", "required")),
        Tagged(
            "type",
            {
                "function": Record({"type": KIND, "function": NAME_ONLY}, ("function",)),
                "custom": Record({"type": KIND, "custom": NAME_ONLY}, ("custom",)),
                "allowed_tools": Record({"type": KIND, "allowed_tools": OBJECT}, ("allowed_tools",)),
            },
        ),
    )
)
JSON_SCHEMA = Record(
    {"name": FUNCTION_NAME, "description": Text(), "schema": OBJECT, "strict": Nullable(Flag())}, ("name",)
)
RESPONSE_FORMAT = Tagged(
    "type",
    {
        "text": Record({"type": KIND}),
        "json_object": Record({"type": KIND}),
        "json_schema": Record({"type": KIND, "json_schema": JSON_SCHEMA}, ("json_schema",)),
    },
)
TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

CHAT_REQUEST = Record(
    {
        "messages": Listed(MESSAGE, least=1),
        "model": Text(),
        "audio": Nullable(OBJECT),
        "frequency_penalty": Nullable(Number(-2, 2)),
        "function_call": Either((OneOf(("none", "auto")), NAME_ONLY)),
        "functions": Listed(FUNCTION, least=1, most=128),
        "logit_bias": Nullable(Record({}, extra=Number(-100, 100))),
        "logprobs": Nullable(Flag()),
        "max_completion_tokens": Nullable(Number(1, whole=True)),
        "max_tokens": Nullable(Number(1, whole=True)),
        "metadata": Nullable(Record({}, extra=Text(most=512))),
        "modalities": Nullable(Listed(OneOf(("text", "audio")))),
        "moderation": Nullable(OBJECT),
        "n": Nullable(Number(1, 128, whole=True)),
        "parallel_tool_calls": Flag(),
        "prediction": Nullable(OBJECT),
        "presence_penalty": Nullable(Number(-2, 2)),
        "prompt_cache_key": Nullable(Text()),
        "prompt_cache_options": OBJECT,
        "prompt_cache_retention": Nullable(OneOf(("in_memory", "24h"))),
        "reasoning_effort": Nullable(OneOf(EFFORTS)),
        "response_format": RESPONSE_FORMAT,
        "safety_identifier": Nullable(Text()),
        "seed": Nullable(Number(-(2**63), 2**63 - 1, whole=True)),
        "service_tier": Nullable(OneOf(TIERS)),
        "stop": Nullable(Either((Text(), Listed(Text(), most=4)))),
        "store": Nullable(Flag()),
        "stream": Nullable(Flag()),
        "stream_options": Nullable(Record({"include_usage": Flag(), "include_obfuscation": Flag()})),
        "temperature": Nullable(Number(0, 2)),
        "tool_choice": TOOL_CHOICE,
        "tools": Listed(TOOL, least=1, most=128),
        "top_logprobs": Nullable(Number(0, 20, whole=True)),
        "top_p": Nullable(Number(0, 1)),
        "user": Text(),
        "verbosity": Nullable(OneOf(("low", "medium", "high"))),
        "web_search_options": OBJECT,
    },
    ("messages",),
)
