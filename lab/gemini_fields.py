"""List the documented fields of a generateContent request.

Source: Gemini API reference: generateContent, and the request types of the ``google-genai`` package 3.6.1, read on
2026-11-30. The vendor reads a field by its name in snake case too, and its own client mixes both.
"""

from __future__ import annotations

import re
from typing import Any

from lab.shapes import Anything, Flag, Listed, Number, Object, OneOf, Shape, String

OBJECT = Object({}, extra=Anything())
TEXT = String()
INT32 = Number(-(2**31), 2**31 - 1, whole=True, decimal=True)
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH", "minimal", "low", "medium", "high", "xhigh")
CATEGORIES = (
    "HARM_CATEGORY_HATE_SPEECH", "HARM_CATEGORY_SEXUALLY_EXPLICIT", "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_CIVIC_INTEGRITY",
)  # fmt: skip
THRESHOLDS = ("OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE")
BLOB = Object({"mimeType": TEXT, "data": TEXT, "displayName": TEXT})
FILE = Object({"mimeType": TEXT, "fileUri": TEXT, "displayName": TEXT})
CALL = Object({"id": TEXT, "name": TEXT, "args": OBJECT})
RESPONSE_PART = Object({"inlineData": BLOB, "fileData": FILE})
RESPONSE = Object(
    {
        "id": TEXT,
        "name": TEXT,
        "response": OBJECT,
        "parts": Listed(RESPONSE_PART),
        "willContinue": Flag(),
        "scheduling": TEXT,
    }
)
# A part has exactly one of these.
DATA: dict[str, Shape] = {
    "text": TEXT,
    "inlineData": BLOB,
    "fileData": FILE,
    "functionCall": CALL,
    "functionResponse": RESPONSE,
    "executableCode": Object({"language": TEXT, "code": TEXT, "id": TEXT}),
    "codeExecutionResult": Object({"outcome": TEXT, "output": TEXT, "id": TEXT}),
    "toolCall": OBJECT,
    "toolResponse": OBJECT,
}
PART = Object(
    {
        **DATA,
        "thought": Flag(),
        "thoughtSignature": TEXT,
        "videoMetadata": OBJECT,
        "mediaResolution": OBJECT,
        "partMetadata": OBJECT,
    }
)
# Roles that are not known have a sentence of their own (``lab/gemini_history.py``).
CONTENT = Object({"role": TEXT, "parts": Listed(PART)})
# The fields of ``parameters``: a subset of OpenAPI. JSON schemas go by ``parametersJsonSchema``.
FUNCTION = Object(
    {
        "name": TEXT,
        "description": TEXT,
        "behavior": TEXT,
        "parameters": OBJECT,
        "parametersJsonSchema": Anything(),
        "response": OBJECT,
        "responseJsonSchema": Anything(),
    }
)
TOOL = Object(
    {
        "functionDeclarations": Listed(FUNCTION),
        "googleSearch": OBJECT,
        "googleSearchRetrieval": OBJECT,
        "codeExecution": OBJECT,
        "urlContext": OBJECT,
        "googleMaps": OBJECT,
        "fileSearch": OBJECT,
        "computerUse": OBJECT,
    }
)
TOOL_CONFIG = Object(
    {
        "functionCallingConfig": Object(
            {"mode": OneOf(("AUTO", "ANY", "NONE", "VALIDATED")), "allowedFunctionNames": Listed(TEXT)}
        ),
        "retrievalConfig": OBJECT,
        "includeServerSideToolInvocations": Flag(),
    }
)
GENERATION_CONFIG = Object(
    {
        "stopSequences": Listed(TEXT),
        "responseMimeType": TEXT,
        "responseSchema": OBJECT,
        "responseJsonSchema": Anything(),
        "responseModalities": Listed(OneOf(("TEXT", "IMAGE", "AUDIO"))),
        "candidateCount": INT32,
        "maxOutputTokens": INT32,
        "temperature": Number(),
        "topP": Number(),
        "topK": INT32,
        "seed": INT32,
        "presencePenalty": Number(),
        "frequencyPenalty": Number(),
        "responseLogprobs": Flag(),
        "logprobs": INT32,
        "enableEnhancedCivicAnswers": Flag(),
        "speechConfig": OBJECT,
        "thinkingConfig": Object({"includeThoughts": Flag(), "thinkingBudget": INT32, "thinkingLevel": OneOf(LEVELS)}),
        "imageConfig": Object({"aspectRatio": TEXT, "imageSize": TEXT}),
        "mediaResolution": TEXT,
    }
)
GENERATE_REQUEST = Object(
    {
        "model": TEXT,
        "contents": Listed(CONTENT),
        "systemInstruction": CONTENT,
        "tools": Listed(TOOL),
        "toolConfig": TOOL_CONFIG,
        "safetySettings": Listed(Object({"category": OneOf(CATEGORIES), "threshold": OneOf(THRESHOLDS)})),
        "generationConfig": GENERATION_CONFIG,
        "cachedContent": TEXT,
        "serviceTier": OneOf(("standard", "flex", "priority", "unspecified")),
        "store": Flag(),
        "labels": Object({}, extra=TEXT),
    }
)
_SNAKE = re.compile(r"_([a-z])")


def documented_names(body: dict[str, Any], shape: Object = GENERATE_REQUEST) -> dict[str, Any]:
    """Return ``body`` with its fields in camel case, wherever the vendor knows them: those of ``shape``."""
    found: dict[str, Any] = _named(shape, body)
    return found


def _named(shape: Shape, value: Any) -> Any:
    if isinstance(shape, Object) and isinstance(value, dict):
        return {
            _name(shape, name): _named(shape.fields.get(_name(shape, name), OBJECT), one) for name, one in value.items()
        }
    if isinstance(shape, Listed) and isinstance(value, list):
        return [_named(shape.item, one) for one in value]
    return value


def _name(shape: Object, name: str) -> str:
    camel = _SNAKE.sub(lambda found: found[1].upper(), name)
    return camel if name not in shape.fields and camel in shape.fields else name
