"""Refuse histories whose contents and parts Google does not accept, in this order or at all.

Sources of the sentences: the error bodies that users quote in the issues of google-gemini/gemini-cli (#5443, #13467,
#26486, #26691), langchain-ai/langchain (#27799) and continuedev/continue (#11164); Gemini API docs: Thought signatures.
Read on 2026-11-30.
"""

from __future__ import annotations

import json
from typing import Any

from lab.gemini_fields import DATA
from lab.gemini_models import version_of
from lab.openai_refusals import is_base64
from lab.shapes import RequestRefused
from lab.signatures import Signatures

REQUEST = "* GenerateContentRequest."
DUMMIES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
BAD_ROLE = "Please use a valid role: user, model."
SINGLE_TURN = "Please ensure that single turn requests end with a user role or the role field is empty."
COUNTS = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the "
    "function call turn."
)
CALL_FOLLOWS = (
    "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
)
RESPONSE_FOLLOWS = "Please ensure that function response turn comes immediately after a function call turn."
UNSIGNED = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance. Additional data, function call "
    "`default_api:{name}` , position {position}. Please refer to "
    "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
)
CORRUPTED = "Corrupted thought signature."
# Types of media that the vendor reads; any text, audio or video besides.
_MEDIA = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "application/pdf")
_GROUPS = ("text", "audio", "video")

Part = dict[str, Any]


def check_contents(contents: list[dict[str, Any]], model: str, signatures: Signatures) -> None:
    """Raise ``RequestRefused`` for wrong roles, empty parts, unpaired calls and signatures that are not the lab's.

    ``contents`` have the documented shape.
    """
    if not contents:
        raise RequestRefused(f"{REQUEST}contents: contents is not specified\n")
    for at, content in enumerate(contents):
        if content.get("role", "user") not in ("user", "model"):
            raise RequestRefused(BAD_ROLE)
        check_parts(content, f"contents[{at}]")
    if len(contents) == 1 and contents[0].get("role") == "model":
        raise RequestRefused(SINGLE_TURN)
    for at, content in enumerate(contents):
        _check_pairs(contents, at)
        for part in content["parts"]:
            _check_signature(part, signatures)
    if version_of(model) >= (3, 0) and "-image" not in model:
        _check_signed(contents)


def check_parts(content: dict[str, Any], where: str) -> None:
    """Refuse a content without parts, and a part without data."""
    if not content.get("parts"):
        raise RequestRefused(f"{REQUEST}{where}.parts: contents.parts must not be empty.\n")
    for number, part in enumerate(content["parts"]):
        path = f"{where}.parts[{number}]"
        data = [name for name in DATA if name in part]
        if not data or (part.get("text") == "" and not part.get("thoughtSignature")):
            missing = "required oneof field 'data' must have one initialized field"
            raise RequestRefused(f"{REQUEST}{path}.data: {missing}\n")
        if len(data) > 1:
            raise RequestRefused(f"Invalid value at '{path}' (oneof), oneof field 'data' is already set.")
        _check_medium(part, path)


def _check_medium(part: Part, path: str) -> None:
    blob = part.get("inlineData")
    if blob is None:
        return
    kind = blob.get("mimeType", "")
    if kind not in _MEDIA and kind.partition("/")[0] not in _GROUPS:
        raise RequestRefused(f"Unsupported MIME type: {kind}")
    if not is_base64(blob.get("data", "")):
        shown = json.dumps(str(blob.get("data", ""))[:40])
        raise RequestRefused(
            f"Invalid value at '{path}.inline_data.data' (TYPE_BYTES), Base64 decoding failed: {shown}"
        )


def calls_of(content: dict[str, Any]) -> list[Part]:
    """Return the calls of a content."""
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def responses_of(content: dict[str, Any]) -> list[Part]:
    """Return the responses of a content."""
    return [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]


def _check_pairs(contents: list[dict[str, Any]], at: int) -> None:
    content = contents[at]
    calls, responses = calls_of(content), responses_of(content)
    before = contents[at - 1] if at else None
    if calls:
        if content.get("role") != "model" or before is None or before.get("role") == "model":
            raise RequestRefused(CALL_FOLLOWS)
        following = contents[at + 1] if at + 1 < len(contents) else None
        answers = responses_of(following) if following is not None else []
        if len(answers) != len(calls):
            raise RequestRefused(COUNTS)
        for call, answer in zip(calls, answers, strict=True):
            if call.get("name") != answer.get("name") or answer.get("id", call.get("id")) != call.get("id"):
                raise RequestRefused(COUNTS)
    if responses and (before is None or not calls_of(before)):
        raise RequestRefused(RESPONSE_FOLLOWS)


def _check_signature(part: Part, signatures: Signatures) -> None:
    signature = part.get("thoughtSignature")
    if signature is None or signature in DUMMIES:
        return
    call = part.get("functionCall")
    content = None if call is None else signed_call(call)
    if not signatures.is_part_signature(signature, content):
        raise RequestRefused(CORRUPTED)


def signed_call(call: Part) -> str:
    """Return what the signature of a call covers."""
    return json.dumps([call.get("name"), call.get("args") or {}], sort_keys=True)


def _check_signed(contents: list[dict[str, Any]]) -> None:
    """Refuse a step of the current turn whose first call is not signed; a turn begins with words of the user."""
    start = max(
        (
            at
            for at, content in enumerate(contents)
            if content.get("role", "user") == "user" and any("text" in part for part in content["parts"])
        ),
        default=0,
    )
    for at, content in enumerate(contents[start:], start + 1):
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            raise RequestRefused(UNSIGNED.format(name=first["functionCall"].get("name"), position=at))
