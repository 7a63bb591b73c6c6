"""Refuse conversations whose turns and blocks Bedrock does not accept, in this order or at all.

Sources: see ``lab/bedrock_refusals.py``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from lab.bedrock_fields import BLOCKS
from lab.bedrock_models import caches_prompts, caches_tools, is_claude, mixes_results
from lab.openai_refusals import is_base64
from lab.shapes import RequestRefused
from lab.signatures import Signatures

Block = dict[str, Any]
FIRST = "A conversation must start with a user message. Try again with a conversation that starts with a user message."
ALTERNATE = (
    "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between "
    "user and assistant roles and try again."
)
NO_TOOLS = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
MIXED = "Conversation blocks and tool result blocks cannot be provided in the same turn."
DOCUMENT_TEXT = "A text block must be included in the content field of the message when a document is provided."
DUPLICATES = "The messages contain duplicate document names. Use unique names for each document."
MAX_CACHE_POINTS = 4
_DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9()\[\]-]+( [a-zA-Z0-9()\[\]-]+)*")


def check_conversation(body: dict[str, Any], model: str, signatures: Signatures) -> None:
    """Raise ``RequestRefused`` for wrong turns, blank texts, unpaired calls and signatures that are not the lab's."""
    messages = body.get("messages") or []
    if not messages:
        raise refused("The messages field is required. Add at least one message and try again.")
    if messages[0]["role"] != "user":
        raise refused(FIRST)
    for index, message in enumerate(messages):
        if index and message["role"] == messages[index - 1]["role"]:
            raise refused(ALTERNATE)
        _check_content(message, index)
    blocks = [block for message in messages for block in message["content"]]
    if any("toolUse" in block or "toolResult" in block for block in blocks) and not body.get("toolConfig"):
        raise refused(NO_TOOLS)
    for index in range(len(messages)):
        _check_pairs(messages, index, model)
    _check_documents(messages)
    _check_reasoning(messages, model, signatures)
    _check_cache_points(body, blocks, model)


def refused(message: str) -> RequestRefused:
    """Return the vendor's refusal of a conversation."""
    return RequestRefused(message, kind="ValidationException")


def _check_content(message: Block, index: int) -> None:
    if not message["content"]:
        raise refused(
            f"The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to "
            "the content field and try again."
        )
    for number, block in enumerate(message["content"]):
        where = f"messages.{index}.content.{number}"
        if len(block) != 1 or next(iter(block)) not in BLOCKS:
            raise refused(
                f"The ContentBlock object at {where} must set one of the following keys: {', '.join(BLOCKS)}."
            )
        if "text" in block and not block["text"].strip():
            raise refused(
                f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, "
                "and try again."
            )
        if number == 0 and "cachePoint" in block:
            raise refused(f"{where}: a cachePoint must follow the content that it caches.")
        if message["role"] == "assistant" and {"image", "document", "video", "audio", "toolResult"} & set(block):
            raise refused(f"{where}: an assistant message cannot contain {next(iter(block))} blocks.")
        if message["role"] == "user" and {"toolUse", "reasoningContent"} & set(block):
            raise refused(
                f"User messages cannot contain {'reasoning content' if 'toolUse' not in block else 'tool uses'}."
            )
        result = block.get("toolResult")
        if result is not None:
            _check_result(result, where)
        for kind in ("image", "document", "video", "audio"):
            data = block.get(kind, {}).get("source", {}).get("bytes")
            if data is not None and not is_base64(data):
                raise RequestRefused(f"{where}.{kind}.source.bytes is no base64", kind="SerializationException")


def _check_result(result: Block, where: str) -> None:
    if result.get("status") == "error" and not result["content"]:
        raise refused(f"The content field at {where}.toolResult cannot be empty when status value is error.")
    for number, block in enumerate(result["content"]):
        if len(block) != 1:
            raise refused(f"The block at {where}.toolResult.content.{number} must set exactly one key.")
        if "text" in block and not block["text"].strip():
            raise refused(f"The text field at {where}.toolResult.content.{number} is blank.")


def _check_pairs(messages: list[Block], index: int, model: str) -> None:
    message = messages[index]
    calls = [b["toolUse"] for b in message["content"] if "toolUse" in b and "type" not in b["toolUse"]]
    results = [b["toolResult"]["toolUseId"] for b in message["content"] if "toolResult" in b]
    ids = [call["toolUseId"] for call in calls]
    if len(ids) != len(set(ids)):
        raise refused(f"The toolUse blocks at messages.{index}.content contain duplicate Ids: {', '.join(ids)}")
    following = messages[index + 1]["content"] if index + 1 < len(messages) else []
    answered = [b["toolResult"]["toolUseId"] for b in following if "toolResult" in b]
    if missing := [one for one in ids if one not in answered]:
        raise refused(
            f"Expected toolResult blocks at messages.{index + 1}.content for the following Ids: {', '.join(missing)}"
        )
    before = messages[index - 1]["content"] if index else []
    asked = [b["toolUse"]["toolUseId"] for b in before if "toolUse" in b]
    if len(results) > len(asked) or any(one not in asked for one in results) or len(results) != len(set(results)):
        raise refused(
            f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks "
            "of previous turn."
        )
    if results and len(results) < sum("cachePoint" not in b for b in message["content"]) and not mixes_results(model):
        raise refused(f"messages.{index}.content: {MIXED}")


def _check_documents(messages: list[Block]) -> None:
    names: list[str] = []
    for message in messages:
        documents = [block["document"] for block in message["content"] if "document" in block]
        if documents and not any("text" in block for block in message["content"]):
            raise refused(DOCUMENT_TEXT)
        names += [document["name"] for document in documents]
    for name in names:
        if not _DOCUMENT_NAME.fullmatch(name):
            raise refused(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
                "parentheses, and square brackets. The name can't contain more than one consecutive whitespace "
                "character."
            )
    if len(names) != len(set(names)):
        raise refused(DUPLICATES)


def _check_reasoning(messages: list[Block], model: str, signatures: Signatures) -> None:
    for index, number, block in _reasoning(messages):
        where = f"messages.{index}.content.{number}"
        shown = block.get("reasoningText")
        if not is_claude(model):
            raise refused("This model doesn't support the reasoningContent field. Remove the field and try again.")
        if shown is not None and not signatures.is_signature(shown.get("signature", ""), shown["text"]):
            raise refused(f"The model returned the following errors: {where}: Invalid `signature` in `thinking` block")
        hidden = block.get("redactedContent")
        if hidden is not None and not signatures.is_redacted(hidden):
            raise refused(
                f"The model returned the following errors: {where}: Invalid `data` in `redacted_thinking` block"
            )
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and "reasoningContent" in message["content"][-1]:
            raise refused(
                "The model returned the following errors: "
                f"messages.{index}: The final block in an assistant message cannot be `thinking`."
            )


def _reasoning(messages: list[Block]) -> Iterator[tuple[int, int, Block]]:
    for index, message in enumerate(messages):
        for number, block in enumerate(message["content"]):
            if "reasoningContent" in block:
                yield index, number, block["reasoningContent"]


def _check_cache_points(body: dict[str, Any], blocks: list[Block], model: str) -> None:
    tools = (body.get("toolConfig") or {}).get("tools") or []
    in_tools = [tool["cachePoint"] for tool in tools if "cachePoint" in tool]
    in_prompt = [b["cachePoint"] for b in [*(body.get("system") or ()), *blocks] if "cachePoint" in b]
    if (in_tools and not caches_tools(model)) or (in_prompt and not caches_prompts(model)):
        raise RequestRefused(
            "You invoked an unsupported model or your request did not allow prompt caching. See the documentation "
            "for more information.",
            status=403,
            kind="AccessDeniedException",
        )
    points = [*in_tools, *in_prompt]
    if len(points) > MAX_CACHE_POINTS:
        raise refused(f"The maximum number of cachePoint blocks is {MAX_CACHE_POINTS}. Found {len(points)}.")
    hours = [point.get("ttl") == "1h" for point in points]
    if hours and (not caches_tools(model) and any(hours)):
        raise refused("This model does not support the ttl field of cachePoint.")
    if any(later and not earlier for earlier, later in itertools.pairwise(hours)):
        raise refused("The model returned the following errors: a ttl='1h' block must not come after a ttl='5m' block.")
