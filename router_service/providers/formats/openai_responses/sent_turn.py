"""Gather the items of one turn of the assistant, so that the vendor recognises its own and accepts the others.

The vendor refuses reasoning "without its required following item", and an item with an id "without its required
'reasoning' item": an id goes only where the reasoning before it goes too, and the other way round. Sources: OpenAI
docs: Reasoning models, "Keeping reasoning items in context"; issues of openai-node (#1567), continuedev/continue
(#11994) and NousResearch/hermes-agent (#97777).
"""

from __future__ import annotations

from typing import Any

from router_service.core.parts import Reasoning

Item = dict[str, Any]


class _Entry:
    """Hold an item, the id that it has at its origin, and what stands for it where that id cannot go."""

    __slots__ = ("item", "item_id", "needs_id", "open", "text")

    def __init__(self, item: Item, item_id: str | None, *, needs_id: bool = False, text: str | None = None) -> None:
        self.item, self.item_id = item, item_id
        self.needs_id, self.text = needs_id, text
        self.open = True


class SentTurn:
    """Collect one turn. ``keeps_ids`` is true for models that do not reason, whose items have no reasoning before."""

    def __init__(self, *, keeps_ids: bool) -> None:
        self._keeps_ids = keeps_ids
        self._entries: list[_Entry] = []

    def say(self, content: Item | None, item_id: str | None, phase: Any) -> None:
        """Add a part of a message; neighbours with one id are one message."""
        if content is None:
            return
        last = self._entries[-1] if self._entries else None
        if last is not None and last.item["type"] == "message" and last.item_id == item_id:
            last.item["content"].append(content)
            return
        message: Item = {"type": "message", "role": "assistant", "content": [content]}
        self._entries.append(_Entry(message | ({"phase": phase} if phase else {}), item_id))

    def add(self, item: Item, item_id: str | None, *, needs_id: bool = False, text: str | None = None) -> None:
        """Add an item that is no message."""
        self._entries.append(_Entry(item, item_id, needs_id=needs_id, text=text))

    def reason(self, part: Reasoning) -> None:
        """Add reasoning; neighbours with one id are one item, which ends with its encrypted text."""
        last = self._entries[-1] if self._entries else None
        goes_on = last is not None and last.item["type"] == "reasoning" and last.item_id == part.item_id
        if last is None or not goes_on or not (part.item_id or last.open):
            last = _Entry({"type": "reasoning", "summary": []}, part.item_id)
            self._entries.append(last)
        if part.text and part.summary:
            last.item["summary"].append({"type": "summary_text", "text": part.text})
        if part.encrypted:
            last.item["encrypted_content"] = part.encrypted
            last.open = False

    def lose_reasoning(self) -> None:
        """Note that reasoning of another origin stood here."""
        lost = _Entry({"type": "reasoning"}, None)
        lost.open = False
        self._entries.append(lost)

    def items(self) -> tuple[list[Item], bool]:
        """Return the items, and whether reasoning was lost.

        The vendor stores nothing for the router, so reasoning without its encrypted text is not known to it.
        """
        entries = self._entries
        last = max((at for at, one in enumerate(entries) if one.item["type"] != "reasoning"), default=-1)
        found: list[Item] = []
        lost = False
        identified = self._keeps_ids
        for at, one in enumerate(entries):
            if one.item["type"] == "reasoning":
                sealed = "encrypted_content" in one.item and at < last
                identified = sealed and bool(one.item_id) and self._stands_alone(at)
                lost = lost or not sealed
                if not sealed:
                    continue
            if one.item_id and identified:
                one.item["id"] = one.item_id
            elif one.needs_id:
                # Without its id the item means nothing: its text stands for it.
                found += _as_message(one.text)
                continue
            found.append(one.item)
        return found, lost

    def _stands_alone(self, at: int) -> bool:
        """Return whether reasoning has an item with an id right after it, and no other reasoning beside it."""
        before = self._entries[at - 1] if at else None
        after = self._entries[at + 1]
        return (before is None or before.item["type"] != "reasoning") and (
            after.item["type"] != "reasoning" and after.item_id is not None
        )


def _as_message(text: str | None) -> list[Item]:
    content = [{"type": "output_text", "text": text}] if text else []
    return [{"type": "message", "role": "assistant", "content": content}] if content else []
