"""Put turns in the order that strict providers and chat templates ask for."""

from __future__ import annotations

from typing import Any

Turn = dict[str, Any]
_CONTINUE = "Go on."
_READ = "OK."
_NO_RESULT = "This call returned no result."


def paired(turns: list[Turn]) -> list[Turn]:
    """Return ``turns`` with the results of calls right after them: vendors refuse either without the other.

    A call without a result gets one that says so, and a result without its call is told as text of the user.
    """
    found: list[Turn] = []
    # The turns that have come since the last call, which follow its results, and the ids without a result.
    later: list[Turn] = []
    missing: list[str] = []
    for turn in turns:
        if turn["role"] == "assistant":
            found += _closed(missing, later)
            found.append(turn)
            missing, later = [call["id"] for call in turn.get("tool_calls", ())], []
        elif turn["role"] != "tool":
            later.append(turn)
        elif turn["tool_call_id"] in missing:
            missing.remove(turn["tool_call_id"])
            found.append(turn)
        else:
            told, content = f"Result of the earlier tool call {turn['tool_call_id']}:", turn["content"] or "(empty)"
            said = f"{told}\n{content}" if isinstance(content, str) else _parts(told) + content
            later.append({"role": "user", "content": said})
    return found + _closed(missing, later)


def _closed(missing: list[str], later: list[Turn]) -> list[Turn]:
    return [{"role": "tool", "tool_call_id": one, "content": _NO_RESULT} for one in missing] + later


def with_one_system_turn(turns: list[Turn]) -> list[Turn]:
    """Return ``turns`` with one leading system turn; a later system turn becomes one of the user."""
    leading = 0
    while leading < len(turns) and turns[leading]["role"] == "system":
        leading += 1
    first = [_merged(turns[:leading])] if leading else []
    rest = [turn | {"role": "user"} if turn["role"] == "system" else turn for turn in turns[leading:]]
    return first + rest


def alternated(turns: list[Turn]) -> list[Turn]:
    """Return ``turns`` with one leading system turn, then those of the user and of the assistant in turn.

    Neighbours of one role are merged. The first of them and the last are the user's.
    """
    found: list[Turn] = []
    for turn in with_one_system_turn(turns):
        if found and found[-1]["role"] == turn["role"]:
            found[-1] = _merged([found[-1], turn])
            continue
        if turn["role"] == "assistant" and (not found or found[-1]["role"] == "system"):
            found.append({"role": "user", "content": _CONTINUE})
        found.append(turn)
    if found and found[-1]["role"] != "user":
        found.append({"role": "user", "content": _CONTINUE})
    return found


def in_mistral_order(turns: list[Turn]) -> list[Turn]:
    """Return ``turns`` as mistral-common validates their order.

    The assistant's turn follows the results of tools, a system turn follows the user's or another one, and a last turn
    of the assistant is the beginning of the answer.
    """
    found: list[Turn] = []
    for turn in turns:
        before = found[-1]["role"] if found else None
        if turn["role"] == "system" and before in ("assistant", "tool"):
            turn = turn | {"role": "user"}
        if turn["role"] == "user" and before == "tool":
            found.append({"role": "assistant", "content": _READ})
        found.append(turn)
    if found and found[-1]["role"] == "assistant" and "tool_calls" not in found[-1]:
        found[-1] = found[-1] | {"prefix": True}
    return found


def _merged(turns: list[Turn]) -> Turn:
    if len(turns) == 1:
        return turns[0]
    contents = [turn.get("content") for turn in turns]
    if all(content is None or isinstance(content, str) for content in contents):
        content: Any = "\n\n".join(text for text in contents if text)
    else:
        content = [part for one in contents for part in _parts(one)]
    return turns[0] | {"content": content}


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []
