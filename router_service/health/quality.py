"""Sum what one endpoint's responses were worth: tool calls over 2 hours, tokens and Retry-After over 30 minutes."""

from __future__ import annotations

from array import array

from router_service.health.messages import QualitySums

SLOT_S = 600
# One array for everything, since there may be thousands: 3 slots of tokens, 12 of tool calls, the sums that the other
# workers have not received yet, and the number of the running slot.
_RECENT, _RECENT_SLOTS, _RECENT_KINDS = 0, 3, 6
_TOOLS, _TOOL_SLOTS, _TOOL_KINDS = 18, 12, 2
_UNSENT, _SLOT = 42, 50
_EMPTY = array("q", bytes(8 * (_SLOT + 1)))


NO_QUALITY = QualitySums()


class QualityWindows:
    """Sum the kinds of ``QualitySums`` in slots of ten minutes. Seconds are those of ``OutcomeWindows``.

    The counting methods are written out, because loops would double their cost.
    """

    __slots__ = ("_counts",)

    def __init__(self, second: int) -> None:
        self._counts = array("q", _EMPTY)
        self._counts[_SLOT] = second // SLOT_S

    def add_tokens(self, responses: int, prompt: int, cached: int, completion: int, second: int) -> None:
        """Count the tokens of ``responses`` together; ``prompt`` tokens include the ``cached`` ones."""
        counts = self._counts
        slot = second // SLOT_S
        if slot > counts[_SLOT]:
            self._advance(slot)
        at = slot % _RECENT_SLOTS * _RECENT_KINDS
        counts[at] += responses
        counts[at + 1] += prompt
        counts[at + 2] += cached
        counts[at + 3] += completion
        counts[_UNSENT] += responses
        counts[_UNSENT + 1] += prompt
        counts[_UNSENT + 2] += cached
        counts[_UNSENT + 3] += completion

    def add_retry_after(self, seconds: float, second: int) -> None:
        """Count a 429 whose Retry-After was ``seconds``; a negative one, or NaN, counts as 0."""
        counts, retry_after_ms = self._counts, int(seconds * 1000) if seconds > 0 else 0
        slot = second // SLOT_S
        if slot > counts[_SLOT]:
            self._advance(slot)
        at = slot % _RECENT_SLOTS * _RECENT_KINDS + 4
        counts[at] += 1
        counts[at + 1] += retry_after_ms
        counts[_UNSENT + 4] += 1
        counts[_UNSENT + 5] += retry_after_ms

    def add_tool_calls(self, malformed: bool, second: int) -> None:
        """Count a response that ended with tool calls."""
        counts = self._counts
        slot = second // SLOT_S
        if slot > counts[_SLOT]:
            self._advance(slot)
        at = _TOOLS + slot % _TOOL_SLOTS * _TOOL_KINDS
        counts[at] += 1
        counts[at + 1] += malformed
        counts[_UNSENT + 6] += 1
        counts[_UNSENT + 7] += malformed

    def merge(self, added: QualitySums, second: int, now: int) -> None:
        """Count what another worker observed at ``second``; slots that are over by ``now`` leave it out."""
        counts = self._counts
        if now // SLOT_S > counts[_SLOT]:
            self._advance(now // SLOT_S)
        slot = second // SLOT_S
        age = counts[_SLOT] - slot
        if 0 <= age < _RECENT_SLOTS:
            at = _RECENT + slot % _RECENT_SLOTS * _RECENT_KINDS
            for kind in range(_RECENT_KINDS):
                counts[at + kind] += added[kind]
        if 0 <= age < _TOOL_SLOTS:
            at = _TOOLS + slot % _TOOL_SLOTS * _TOOL_KINDS
            for kind in range(_TOOL_KINDS):
                counts[at + kind] += added[_RECENT_KINDS + kind]

    def sums(self, second: int) -> QualitySums:
        """Return the sums of the windows that end now."""
        counts = self._counts
        if second // SLOT_S > counts[_SLOT]:
            self._advance(second // SLOT_S)
        recent = (sum(counts[_RECENT + kind : _TOOLS : _RECENT_KINDS]) for kind in range(_RECENT_KINDS))
        tools = (sum(counts[_TOOLS + kind : _UNSENT : _TOOL_KINDS]) for kind in range(_TOOL_KINDS))
        return QualitySums(*recent, *tools)

    def drain_unsent(self) -> QualitySums | None:
        """Return what was counted since the last call, ``None`` for nothing."""
        counts = self._counts
        unsent = QualitySums._make(counts[_UNSENT:_SLOT])
        if not any(unsent):
            return None
        counts[_UNSENT:_SLOT] = _EMPTY[_UNSENT:_SLOT]
        return unsent

    def _advance(self, slot: int) -> None:
        counts = self._counts
        for number in range(counts[_SLOT] + 1, min(slot, counts[_SLOT] + _TOOL_SLOTS) + 1):
            recent = _RECENT + number % _RECENT_SLOTS * _RECENT_KINDS
            counts[recent : recent + _RECENT_KINDS] = _EMPTY[:_RECENT_KINDS]
            tools = _TOOLS + number % _TOOL_SLOTS * _TOOL_KINDS
            counts[tools : tools + _TOOL_KINDS] = _EMPTY[:_TOOL_KINDS]
        counts[_SLOT] = slot
