"""Order messages as the vendor wants contents: responses follow their calls at once, as many as there are calls.

A system turn after the first other turn stays in its place as text of the user: the format has no such role.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.providers.formats.gemini.marked_prompt import ContentMark
from router_service.providers.formats.gemini.model_turn import SentPart
from router_service.providers.formats.gemini.names import DUMMY_SIGNATURE
from router_service.providers.formats.gemini.parts import PartEncoder

Content = dict[str, Any]
NO_RESULT = "This call returned no result."
# A conversation begins with the user, and ends with the user.
OPENING = "Begin."
CONTINUE = "Continue your last message from exactly where it ends. Do not repeat any of it."


class _Turn(msgspec.Struct):
    role: str
    parts: list[SentPart]


def contents(
    messages: Iterable[Message], encoder: PartEncoder, *, signed_calls: bool, instructed: bool
) -> tuple[list[Content], list[ContentMark]]:
    """Return the contents and their marks. ``instructed`` says whether there are instructions beside them.

    With ``signed_calls`` the first call of each turn gets a signature in any case. Raises ``ApiError`` 400 for a medium
    that the vendor cannot read, and for a conversation without content.
    """
    turns: list[_Turn] = []
    for message in messages:
        role = "model" if message.role == "assistant" else "user"
        parts = encoder.model_parts(message) if role == "model" else encoder.user_parts(message)
        if not parts:
            continue
        if turns and turns[-1].role == role:
            turns[-1].parts += parts
        else:
            turns.append(_Turn(role, parts))
    if not turns and not instructed:
        raise ApiError("invalid_request", "All messages are empty; send at least one message with text or media")
    _pair(turns)
    if signed_calls:
        _sign_first_calls(turns)
    if not turns or turns[0].role == "model":
        turns.insert(0, _Turn("user", [SentPart({"text": OPENING})]))
    if turns[-1].role == "model":
        turns.append(_Turn("user", [SentPart({"text": CONTINUE})]))
    marks = [
        ContentMark(at, number, sent.mark)
        for at, turn in enumerate(turns)
        for number, sent in enumerate(turn.parts, 1)
        if sent.mark is not None
    ]
    return [{"role": turn.role, "parts": [sent.body for sent in turn.parts]} for turn in turns], marks


def _pair(turns: list[_Turn]) -> None:
    """Place the responses at the beginning of the turn after their calls, in the order of the calls.

    A call without a response gets one that says so, and a response without a call is told as text.
    """
    pending: dict[str, deque[SentPart]] = {}
    calls: list[SentPart] = []
    for turn in turns:
        if turn.role == "model":
            calls = [sent for sent in turn.parts if "functionCall" in sent.body]
            pending = {}
            for call in calls:
                pending.setdefault(call.call_id or "", deque()).append(call)
            continue
        answered: dict[int, SentPart] = {}
        rest: list[SentPart] = []
        for sent in turn.parts:
            if "functionResponse" not in sent.body:
                rest.append(sent)
            elif waiting := pending.get(sent.call_id or ""):
                answered[id(waiting.popleft())] = sent
            else:
                rest += _as_text(sent)
        responses = [_response(call, answered.get(id(call))) for call in calls]
        turn.parts = responses + _introduced(rest, calls)
        pending, calls = {}, []
    if calls:
        turns.append(_Turn("user", [_response(call, None) for call in calls]))


def _response(call: SentPart, found: SentPart | None) -> SentPart:
    called = call.body["functionCall"]
    response = {"error": NO_RESULT} if found is None else found.body["functionResponse"]["response"]
    fields = {"name": called["name"], "response": response} | ({"id": called["id"]} if "id" in called else {})
    return SentPart({"functionResponse": fields}, mark=None if found is None else found.mark)


def _introduced(parts: list[SentPart], calls: list[SentPart]) -> list[SentPart]:
    """Return the parts of a user's turn; media of a response are introduced, since they stand outside of it."""
    names = {call.call_id: call.body["functionCall"]["name"] for call in calls}
    found: list[SentPart] = []
    before: str | None = None
    for sent in parts:
        if sent.belongs_to is not None and sent.belongs_to != before:
            called = names.get(sent.belongs_to, sent.belongs_to)
            found.append(SentPart({"text": f"Attached to the result of {called}:"}))
        before = sent.belongs_to
        found.append(sent)
    return found


def _as_text(sent: SentPart) -> list[SentPart]:
    response = sent.body["functionResponse"]["response"]
    told = str(next(iter(response.values()))) or "(empty)"
    return [SentPart({"text": f"Result of the earlier tool call {sent.call_id}:\n{told}"}, mark=sent.mark)]


def _sign_first_calls(turns: list[_Turn]) -> None:
    """Let the first call of each turn of the model have a signature, without which the vendor refuses the turn."""
    for turn in turns:
        first = next((sent.body for sent in turn.parts if "functionCall" in sent.body), None)
        if first is not None:
            first.setdefault("thoughtSignature", DUMMY_SIGNATURE)
