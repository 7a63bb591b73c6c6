"""Order messages as the vendor wants turns: roles alternate, the user's comes first, and results follow their calls.

A system turn after the first other turn stays in its place as a user turn with its text: models of this format before
Claude Opus 4.8 refuse the role ``system`` among the turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.providers.formats.anthropic_messages.blocks import THINKING, Block, BlockEncoder
from router_service.providers.formats.anthropic_messages.names import MAX_CALL_ID
from router_service.providers.tool_names import fitted_name

Turn = dict[str, Any]
NO_RESULT = "This call returned no result."
# The vendor refuses a conversation that begins with the assistant, and a request without a user turn.
OPENING = "Begin."
CONTINUE = "Continue your last message from exactly where it ends. Do not repeat any of it."


def join_turns(messages: Iterable[Message], encoder: BlockEncoder, dropped: set[str]) -> list[Turn]:
    """Return the turns with the ids of calls fitted in call and result alike.

    Raises ``ApiError`` 400 for a medium that the format cannot carry.
    """
    turns: list[Turn] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = encoder.blocks(message)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    _pair_hosted(turns, dropped)
    _pair(turns)
    return turns


def _pair(turns: list[Turn]) -> None:
    """Place each result at the beginning of the turn after its call; make what is missing, write the rest as text."""
    taken: set[str] = set()
    pending: dict[str, deque[str]] = {}
    for turn in turns:
        if turn["role"] == "assistant":
            pending = _fit_calls(turn["content"], taken)
            continue
        results: list[Block] = []
        rest: list[Block] = []
        for block in turn["content"]:
            if block["type"] != "tool_result":
                rest.append(block)
            elif waiting := pending.get(block["tool_use_id"]):
                results.append(block | {"tool_use_id": waiting.popleft()})
            else:
                rest += _result_as_text(block)
        turn["content"] = results + _missing(pending) + rest
        pending = {}
    if missing := _missing(pending):
        turns.append({"role": "user", "content": missing})


def _fit_calls(blocks: list[Block], taken: set[str]) -> dict[str, deque[str]]:
    """Fit the ids of the calls of one turn, each of which must be unique; return them by the ids that they had."""
    pending: dict[str, deque[str]] = {}
    for block in blocks:
        if block["type"] == "tool_use":
            fitted = fitted_name(block["id"], MAX_CALL_ID, taken)
            taken.add(fitted)
            pending.setdefault(block["id"], deque()).append(fitted)
            block["id"] = fitted
    return pending


def _missing(pending: dict[str, deque[str]]) -> list[Block]:
    content = [{"type": "text", "text": NO_RESULT}]
    return [
        {"type": "tool_result", "tool_use_id": call_id, "is_error": True, "content": content}
        for waiting in pending.values()
        for call_id in waiting
    ]


def _result_as_text(block: Block) -> list[Block]:
    content: list[Block] = block.get("content") or [{"type": "text", "text": "(empty)"}]
    found = [{"type": "text", "text": f"Result of the earlier tool call {block['tool_use_id']}:"}, *content]
    if "cache_control" in block:
        found[-1] = found[-1] | {"cache_control": block["cache_control"]}
    return found


def _pair_hosted(turns: list[Turn], dropped: set[str]) -> None:
    """Drop hosted calls without their result and results without their call, which the vendor refuses.

    A call of the last assistant turn stays: the provider has paused, and goes on with it.
    """
    assistant = [turn for turn in turns if turn["role"] == "assistant"]
    answered = {block.get("tool_use_id") for turn in assistant for block in turn["content"]}
    called: set[str] = set()
    for turn in assistant:
        kept: list[Block] = []
        for block in turn["content"]:
            if block["type"] in ("server_tool_use", "mcp_tool_use"):
                if block.get("id") not in answered and turn is not assistant[-1]:
                    dropped.add("hosted_tools")
                    continue
                called.add(str(block.get("id")))
            elif block["type"].endswith("_tool_result") and block.get("tool_use_id") not in called:
                dropped.add("hosted_tools")
                continue
            kept.append(block)
        turn["content"] = kept
    _drop_empty(turns)


def _drop_empty(turns: list[Turn]) -> None:
    """Drop turns without content and join the neighbours that meet then."""
    kept: list[Turn] = []
    for turn in turns:
        if not turn["content"]:
            continue
        if kept and kept[-1]["role"] == turn["role"]:
            kept[-1]["content"] += turn["content"]
        else:
            kept.append(turn)
    turns[:] = kept


def lacks_thinking(turns: list[Turn]) -> bool:
    """Return whether results are pending and the turn that called does not begin with thinking.

    The vendor then refuses to think: "a final assistant message must start with a thinking block".
    """
    if len(turns) < 2 or turns[-1]["role"] != "user" or turns[-1]["content"][0]["type"] != "tool_result":
        return False
    return turns[-2]["content"][0]["type"] not in THINKING


def is_prefilled(turns: list[Turn]) -> bool:
    """Return whether the last turn is text of the assistant that the model is to continue.

    A paused turn, which contains a hosted call, is none.
    """
    if not turns or turns[-1]["role"] != "assistant":
        return False
    return not any(block["type"] in ("server_tool_use", "mcp_tool_use") for block in turns[-1]["content"])


def finish_turns(turns: list[Turn], *, thinking: bool, prefill: bool, dropped: set[str]) -> None:
    """Fit the ends of assistant turns, and let the user's turn be the first.

    Without ``prefill`` a last turn of the assistant is followed by a user turn that asks to continue it. Raises
    ``ApiError`` 400 for a conversation without content.
    """
    for turn in turns:
        if turn["role"] == "assistant":
            _end_of_thinking(turn, dropped)
    _drop_empty(turns)
    if is_prefilled(turns):
        _trim(turns, thinking, prefill, dropped)
        _drop_empty(turns)
    if not turns or turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})


def _end_of_thinking(turn: Turn, dropped: set[str]) -> None:
    """Drop thinking at the end of a turn, as of an answer that was cut off: the vendor refuses such a turn."""
    while turn["content"] and turn["content"][-1]["type"] in THINKING:
        turn["content"].pop()
        dropped.add("reasoning")


def _trim(turns: list[Turn], thinking: bool, prefill: bool, dropped: set[str]) -> None:
    last = turns[-1]
    if not thinking and any(block["type"] in THINKING for block in last["content"]):
        # Without thinking the vendor refuses thinking blocks in the last turn, and in no other.
        last["content"] = [block for block in last["content"] if block["type"] not in THINKING]
        dropped.add("reasoning")
    final = last["content"][-1]
    if final["type"] == "text":
        final["text"] = final["text"].rstrip()
    if not prefill:
        turns.append({"role": "user", "content": [{"type": "text", "text": CONTINUE}]})


def require_content(turns: list[Turn], system: list[Block]) -> None:
    """Raise ``ApiError`` 400 if nothing is left to send."""
    if not turns and not system:
        raise ApiError("invalid_request", "All messages are empty; send at least one message with text or media")
