"""List the documented fields of a Converse request.

Source: the service model of ``bedrock-runtime`` in the ``botocore`` package 1.44.8, read on 2026-11-30.
"""

from __future__ import annotations

from lab.shapes import Anything, Flag, Listed, Number, Object, OneOf, Shape, String

OBJECT = Object({}, extra=Anything())
TEXT = String()
FILLED = String(least=1)
NAME = String(1, 64, r"^[a-zA-Z0-9_-]+$")
CALL_ID = String(1, 64, r"^[a-zA-Z0-9_.:-]+$")
S3 = Object({"uri": String(1, 1024, r"^s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](/.*)?$"), "bucketOwner": TEXT}, ("uri",))
SOURCE = Object({"bytes": FILLED, "s3Location": S3})
IMAGE = Object({"format": OneOf(("png", "jpeg", "gif", "webp")), "source": SOURCE}, ("format", "source"))
DOCUMENT = Object(
    {
        "format": OneOf(("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")),
        "name": String(1, 200),
        "source": Object({"bytes": FILLED, "s3Location": S3, "text": TEXT, "content": Listed(Object({"text": TEXT}))}),
        "context": TEXT,
        "citations": Object({"enabled": Flag()}, ("enabled",)),
    },
    ("name", "source"),
)
VIDEO = Object(
    {
        "format": OneOf(("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp")),
        "source": SOURCE,
    },
    ("format", "source"),
)
AUDIO = Object(
    {
        "format": OneOf(
            (
                "mp3",
                "opus",
                "wav",
                "aac",
                "flac",
                "mp4",
                "ogg",
                "mkv",
                "mka",
                "x-aac",
                "m4a",
                "mpeg",
                "mpga",
                "pcm",
                "webm",
            )
        ),
        "source": SOURCE,
    },
    ("format", "source"),
)
CACHE_POINT = Object({"type": OneOf(("default",)), "ttl": OneOf(("5m", "1h"))}, ("type",))
REASONING = Object({"reasoningText": Object({"text": TEXT, "signature": TEXT}, ("text",)), "redactedContent": FILLED})
TOOL_USE = Object(
    {"toolUseId": CALL_ID, "name": NAME, "input": OBJECT, "type": OneOf(("server_tool_use",))},
    ("toolUseId", "name", "input"),
)
# A block of a result has exactly one of these, and so has a block of a message.
RESULT_BLOCKS: dict[str, Shape] = {
    "json": OBJECT, "text": TEXT, "image": IMAGE, "document": DOCUMENT, "video": VIDEO, "searchResult": OBJECT,
}  # fmt: skip
TOOL_RESULT = Object(
    {
        "toolUseId": CALL_ID,
        "content": Listed(Object(RESULT_BLOCKS)),
        "status": OneOf(("success", "error")),
        "type": TEXT,
    },
    ("toolUseId", "content"),
)
BLOCKS: dict[str, Shape] = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "video": VIDEO,
    "audio": AUDIO,
    "toolUse": TOOL_USE,
    "toolResult": TOOL_RESULT,
    "guardContent": OBJECT,
    "cachePoint": CACHE_POINT,
    "reasoningContent": REASONING,
    "citationsContent": OBJECT,
    "searchResult": OBJECT,
}
MESSAGE = Object({"role": OneOf(("user", "assistant")), "content": Listed(Object(BLOCKS))}, ("role", "content"))
SYSTEM = Object({"text": FILLED, "guardContent": OBJECT, "cachePoint": CACHE_POINT})
TOOL = Object(
    {
        "toolSpec": Object(
            {
                "name": NAME,
                "description": FILLED,
                "inputSchema": Object({"json": OBJECT}, ("json",)),
                "strict": Flag(),
            },
            ("name", "inputSchema"),
        ),
        "systemTool": Object({"name": NAME}, ("name",)),
        "cachePoint": CACHE_POINT,
    }
)
TOOL_CONFIG = Object(
    {
        "tools": Listed(TOOL, least=1),
        "toolChoice": Object({"auto": OBJECT, "any": OBJECT, "tool": Object({"name": NAME}, ("name",))}),
    },
    ("tools",),
)
CONFIG = Object(
    {
        "maxTokens": Number(1, whole=True),
        "temperature": Number(0, 1),
        "topP": Number(0, 1),
        "stopSequences": Listed(FILLED, most=2500),
    }
)
JSON_SCHEMA = Object({"schema": TEXT, "name": TEXT, "description": TEXT}, ("schema",))
OUTPUT = Object(
    {
        "textFormat": Object(
            {"type": OneOf(("json_schema",)), "structure": Object({"jsonSchema": JSON_SCHEMA})}, ("type", "structure")
        ),
        "effort": String(0, 16),
    }
)
CONVERSE_REQUEST = Object(
    {
        "messages": Listed(MESSAGE),
        "system": Listed(SYSTEM),
        "inferenceConfig": CONFIG,
        "toolConfig": TOOL_CONFIG,
        "guardrailConfig": OBJECT,
        "projectIdentifier": TEXT,
        "additionalModelRequestFields": OBJECT,
        "promptVariables": OBJECT,
        "additionalModelResponseFieldPaths": Listed(String(1, 256), most=10),
        "requestMetadata": Object({}, extra=String(0, 256, r"^[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}$")),
        "performanceConfig": Object({"latency": OneOf(("standard", "optimized"))}),
        "serviceTier": Object({"type": OneOf(("priority", "default", "flex", "reserved"))}, ("type",)),
        "outputConfig": OUTPUT,
    }
)
