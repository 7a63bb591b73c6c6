"""Refuse an input whose items OpenAI does not accept in this order, or does not know.

Sources of the sentences: the error bodies in the issues of openai-node (#1567), continuedev/continue (#9101, #10092,
#11494, #11994), openai/codex (#8145, #33176) and Azure/azure-sdk-for-python (#46092), read on 2026-11-29.
"""

from __future__ import annotations

from typing import Any

from lab.openai_refusals import OpenAIVocabulary
from lab.responses_fields import HOSTED, INPUT_PARTS, OUTPUT_PARTS
from lab.responses_hosted import HOSTED_ITEMS
from lab.responses_ids import ItemSeals
from lab.shapes import RequestRefused

Item = dict[str, Any]
PREFIXES = {
    "message": "msg", "function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs", "web_search_call": "ws",
    **{kind: prefix for kind, prefix, _ in HOSTED_ITEMS.values()},
}  # fmt: skip
# What a call is named in the vendor's sentences, by the type of its output.
CALLS = {"function_call": "function call", "custom_tool_call": "custom tool call"}
NOT_STORED = (
    "Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item "
    "from your input."
)


def item_type(item: Item) -> str:
    """Return the type of an item; a message needs none."""
    return str(item.get("type") or "message")


def check_items(items: list[Item], seals: ItemSeals, *, store: bool) -> None:
    """Raise ``RequestRefused`` for content, ids, reasoning and calls that the vendor does not accept.

    ``items`` have the documented shape.
    """
    for index, item in enumerate(items):
        _check_content(item, index)
        _check_id(item, index, seals, store)
    _check_reasoning(items, seals)
    _check_calls(items)


def is_said(item: Item) -> bool:
    """Return whether the model has made ``item``, and it is no reasoning."""
    kind = item_type(item)
    return kind in CALLS or (kind in HOSTED and not kind.endswith("_output")) or item.get("role") == "assistant"


def _refused(message: str, param: str = "input", code: str | None = None, status: int = 400) -> RequestRefused:
    return RequestRefused(message, param=param, code=code, status=status)


def _check_content(item: Item, index: int) -> None:
    content = item.get("content") if item_type(item) == "message" else None
    allowed = tuple(OUTPUT_PARTS if item.get("role") == "assistant" else INPUT_PARTS)
    for at, part in enumerate(content if isinstance(content, list) else ()):
        if part["type"] not in allowed:
            raise OpenAIVocabulary().not_one_of(("input", index, "content", at), part["type"], allowed)


def _check_id(item: Item, index: int, seals: ItemSeals, store: bool) -> None:
    kind, item_id = item_type(item), item.get("id")
    if kind == "reasoning" and not item_id and not item.get("encrypted_content"):
        raise OpenAIVocabulary().missing(("input", index, "id"))
    if not isinstance(item_id, str):
        return
    prefix = PREFIXES.get(kind)
    if prefix is not None and not item_id.startswith(prefix):
        expected = f"Expected an ID that begins with '{prefix}'."
        raise _refused(f"Invalid 'input[{index}].id': '{item_id}'. {expected}", f"input[{index}].id", "invalid_value")
    lacks_content = kind == "item_reference" or (kind == "reasoning" and not item.get("encrypted_content"))
    if (prefix is not None and (lacks_content or not seals.is_own(item_id))) or kind == "item_reference":
        raise _refused(f"Item with id '{item_id}' not found. {'' if store else NOT_STORED}".strip(), status=404)


def _check_reasoning(items: list[Item], seals: ItemSeals) -> None:
    """Refuse reasoning that the lab did not encrypt, or that is not followed by what was made with it."""
    seen: set[str] = set()
    known: str | None = None
    for index, item in enumerate(items):
        kind, item_id = item_type(item), item.get("id")
        if item_id in seen:
            again = "Remove duplicate items from your input and try again."
            raise _refused(f"Duplicate item found with id {item_id}. {again}")
        seen |= {item_id} if isinstance(item_id, str) else set()
        if kind == "reasoning":
            group = seals.group_of_content(item["encrypted_content"])
            named = f" for item {item_id}" if item_id else ""
            if group is None:
                reason = "Reason: Encrypted content could not be decrypted or parsed."
                sentence = f"The encrypted content{named} could not be verified. {reason}"
                raise RequestRefused(sentence, code="invalid_encrypted_content")
            _check_follower(items, index, group, seals)
            known = group if item_id else None
        elif is_said(item):
            needed = seals.group_of_id(item_id) if isinstance(item_id, str) and kind in PREFIXES else None
            if needed is not None and needed != known:
                without = f"was provided without its required 'reasoning' item: 'rs_{needed}'."
                raise _refused(f"Item '{item_id}' of type '{kind}' {without}")
        else:
            known = None


def _check_follower(items: list[Item], index: int, group: str, seals: ItemSeals) -> None:
    item_id = items[index].get("id")
    rest = items[index + 1 :]
    if item_id:
        following = rest[0].get("id") if rest and is_said(rest[0]) else None
        follows = isinstance(following, str) and seals.group_of_id(following) == group
    else:
        said = next((item for item in rest if item_type(item) != "reasoning"), None)
        follows = said is not None and is_said(said)
    if not follows:
        raise _refused(
            f"Item '{item_id or f'rs_{group}'}' of type 'reasoning' was provided without its required following item."
        )


def _check_calls(items: list[Item]) -> None:
    waiting: dict[tuple[str, str], None] = {}
    for item in items:
        kind = item_type(item)
        if kind in CALLS:
            waiting[kind, item["call_id"]] = None
            continue
        called = kind.removesuffix("_output")
        if called == kind or called not in CALLS:
            continue
        if (called, item["call_id"]) not in waiting:
            raise _refused(f"No tool call found for {CALLS[called]} output with call_id {item['call_id']}.")
        del waiting[called, item["call_id"]]
    for called, call_id in waiting:
        raise _refused(f"No tool output found for {CALLS[called]} {call_id}.")
