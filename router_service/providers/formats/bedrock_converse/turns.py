"""Order messages as the vendor wants turns: roles alternate, the user's comes first, and results follow their calls.

A system turn after the first other turn stays in its place as text of the user: most models take none elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.providers.formats.bedrock_converse.blocks import BlockEncoder
from router_service.providers.formats.bedrock_converse.cache import Block, SentBlock
from router_service.providers.formats.bedrock_converse.model_traits import ConverseTraits
from router_service.providers.formats.bedrock_converse.names import MAX_CALL_ID
from router_service.providers.tool_names import fitted_name

NO_RESULT = "This call returned no result."
# The vendor refuses a conversation that begins with the assistant, and most models one that ends with it.
OPENING = "Begin."
CONTINUE = "Continue your last message from exactly where it ends. Do not repeat any of it."
READ = "Read the attached document."
_REASONING, _CALL, _RESULT = "reasoningContent", "toolUse", "toolResult"


class Turn(msgspec.Struct):
    """Hold one turn of the conversation."""

    role: str
    blocks: list[SentBlock]


def join_turns(messages: Iterable[Message], encoder: BlockEncoder) -> list[Turn]:
    """Return the turns with the ids of calls fitted in call and result alike.

    Raises ``ApiError`` 400 for a medium that the format cannot carry.
    """
    turns: list[Turn] = []
    for message in messages:
        blocks = encoder.blocks(message)
        if blocks:
            _append(turns, Turn("assistant" if message.role == "assistant" else "user", blocks))
    _pair(turns)
    return turns


def _append(turns: list[Turn], turn: Turn) -> None:
    if turns and turns[-1].role == turn.role:
        turns[-1].blocks += turn.blocks
    else:
        turns.append(turn)


def _pair(turns: list[Turn]) -> None:
    """Place each result at the beginning of the turn after its call; make what is missing, write the rest as text."""
    taken: set[str] = set()
    pending: dict[str, deque[str]] = {}
    for turn in turns:
        if turn.role == "assistant":
            pending = _fit_calls(turn.blocks, taken)
            continue
        results: list[SentBlock] = []
        rest: list[SentBlock] = []
        for block in turn.blocks:
            result = block.body.get(_RESULT)
            if result is None:
                rest.append(block)
            elif waiting := pending.get(result["toolUseId"]):
                block.body = {_RESULT: result | {"toolUseId": waiting.popleft()}}
                results.append(block)
            else:
                rest += _result_as_text(block)
        turn.blocks = results + _missing(pending) + rest
        pending = {}
    if missing := _missing(pending):
        turns.append(Turn("user", missing))


def _fit_calls(blocks: list[SentBlock], taken: set[str]) -> dict[str, deque[str]]:
    """Fit the ids of the calls of one turn, each of which must be unique; return them by the ids that they had."""
    pending: dict[str, deque[str]] = {}
    for block in blocks:
        call = block.body.get(_CALL)
        # A call that the vendor itself has run has its result in the same turn.
        if call is not None and "type" not in call:
            fitted = fitted_name(call["toolUseId"], MAX_CALL_ID, taken)
            taken.add(fitted)
            pending.setdefault(call["toolUseId"], deque()).append(fitted)
            block.body = {_CALL: call | {"toolUseId": fitted}}
    return pending


def _missing(pending: dict[str, deque[str]]) -> list[SentBlock]:
    content = [{"text": NO_RESULT}]
    return [
        SentBlock({_RESULT: {"toolUseId": call_id, "content": content}})
        for waiting in pending.values()
        for call_id in waiting
    ]


def _result_as_text(block: SentBlock) -> list[SentBlock]:
    result = block.body[_RESULT]
    found = [SentBlock({"text": f"Result of the earlier tool call {result['toolUseId']}:"})]
    found += [SentBlock(one) for one in result["content"]]
    found[-1].mark = block.mark
    return found


def lacks_reasoning(turns: list[Turn]) -> bool:
    """Return whether results are pending and the turn that called does not begin with reasoning.

    Claude then refuses to think.
    """
    if len(turns) < 2 or turns[-1].role != "user" or _RESULT not in turns[-1].blocks[0].body:
        return False
    return _REASONING not in turns[-2].blocks[0].body


def ends_with_assistant(turns: list[Turn]) -> bool:
    """Return whether the last turn is text of the assistant that the model is to continue."""
    return bool(turns) and turns[-1].role == "assistant"


def require_content(turns: list[Turn], system: list[SentBlock]) -> None:
    """Raise ``ApiError`` 400 if nothing is left to send."""
    if not turns and not system:
        raise ApiError("invalid_request", "All messages are empty; send at least one message with text or media")


def finish_turns(
    turns: list[Turn], traits: ConverseTraits, *, thinking: bool, prefill: bool, dropped: set[str]
) -> None:
    """Fit the ends of assistant turns, and let the user's turn be the first.

    Without ``prefill`` a last turn of the assistant is followed by a user turn that asks to continue it.
    """
    for turn in turns:
        # Claude refuses reasoning at the end of a turn, as of an answer that was cut off.
        while turn.role == "assistant" and turn.blocks and _REASONING in turn.blocks[-1].body:
            turn.blocks.pop()
            dropped.add("reasoning")
    _drop_empty(turns)
    if ends_with_assistant(turns):
        _end(turns, thinking, prefill, dropped)
    if not turns or turns[0].role == "assistant":
        turns.insert(0, Turn("user", [SentBlock({"text": OPENING})]))
    for turn in turns:
        _add_text(turn)
        if not traits.mixes_results:
            _join_text_to_results(turn)


def _drop_empty(turns: list[Turn]) -> None:
    """Drop turns without content and join the neighbours that meet then."""
    kept: list[Turn] = []
    for turn in turns:
        if turn.blocks:
            _append(kept, turn)
    turns[:] = kept


def _end(turns: list[Turn], thinking: bool, prefill: bool, dropped: set[str]) -> None:
    last = turns[-1]
    if not thinking and any(_REASONING in block.body for block in last.blocks):
        # Without thinking Claude refuses reasoning in the last turn, and in no other.
        last.blocks = [block for block in last.blocks if _REASONING not in block.body]
        dropped.add("reasoning")
    final = last.blocks[-1].body
    if "text" in final:
        final["text"] = final["text"].rstrip()
    if not prefill:
        turns.append(Turn("user", [SentBlock({"text": CONTINUE})]))


def _add_text(turn: Turn) -> None:
    """Add the text that the vendor wants beside a document."""
    if any("document" in block.body for block in turn.blocks) and not any("text" in b.body for b in turn.blocks):
        turn.blocks.append(SentBlock({"text": READ}))


def _join_text_to_results(turn: Turn) -> None:
    """Move text beside results into the last of them: most models refuse both in one turn."""
    results = [block for block in turn.blocks if _RESULT in block.body]
    if not results or len(results) == len(turn.blocks):
        return
    result: Block = results[-1].body[_RESULT]
    moved = [block.body for block in turn.blocks if _RESULT not in block.body]
    results[-1].body = {_RESULT: result | {"content": [*result["content"], *moved]}}
    turn.blocks = results
