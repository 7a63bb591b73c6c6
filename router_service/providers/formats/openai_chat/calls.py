"""Give the pieces of tool calls dense indexes and one id each, whatever a server sends."""

from __future__ import annotations

from msgspec import UNSET

from router_service.providers.formats.openai_chat.wire import CallDelta, Function


class CallTracker:
    """Follow the tool calls of one choice; ``stem`` begins the ids of calls that have none.

    ``has_calls`` is true once the choice has a call.
    """

    __slots__ = ("_by_id", "_by_index", "_last", "_named", "_own_ids", "_stem", "_unnamed", "_used", "has_calls")

    def __init__(self, stem: str) -> None:
        self.has_calls = False
        self._stem = stem
        self._used: set[str] = set()
        self._by_id: dict[str, int] = {}
        self._own_ids: list[str | None] = []
        self._named: list[bool] = []
        self._by_index: dict[int, int] = {}
        self._last = -1
        # The ids of calls that have begun without a name, by their index.
        self._unnamed: dict[int | None, str] | None = None

    def fit(self, calls: list[CallDelta], *, complete: bool = False) -> bool:
        """Bring pieces of calls, in place, into one shape; return whether the server's shape was another.

        A piece without a function is dropped, and one that begins a call without its name waits for it, since clients
        read the name with the beginning. ``complete`` is true for the calls of a message, each of which is whole; one
        without a name, which nobody can make and no provider takes back, is dropped as well.
        """
        if complete:
            kept = [call for call in calls if (said := call.custom or call.function) and said.name]
        else:
            kept = [call for call in calls if (call.function or call.custom or call.id) and not self._awaits_name(call)]
        changed = len(kept) != len(calls)
        for position, call in enumerate(kept):
            if complete:
                call.index = position
            changed = self._fit(call) or changed
        calls[:] = kept
        self.has_calls = self.has_calls or bool(kept)
        return changed

    def continues(self, call: CallDelta) -> bool:
        """Return whether ``call`` is a piece, in the documented shape, of the call with which the last piece came."""
        said = call.custom or call.function
        return (
            call.index == self._last
            and call.id is UNSET
            and (call.type is UNSET or bool(call.type))
            and said is not None
            and said is not UNSET
            and said.name is UNSET
            and self._by_index.get(self._last) == self._last
        )

    def _awaits_name(self, call: CallDelta) -> bool:
        """Return whether ``call`` begins a call of which it says neither name nor arguments, and keep its id."""
        function, custom, index = call.function, call.custom, call.index if isinstance(call.index, int) else None
        if (function and (function.name or function.arguments)) or (custom and (custom.name or custom.input)):
            return False
        if self._position(index, call.id or None, named=False) < len(self._named):
            return False
        if call.id:
            self._unnamed = {**(self._unnamed or {}), index: call.id}
        return True

    def _fit(self, call: CallDelta) -> bool:
        said = call.custom or call.function
        changed = not said
        if not said:
            said = call.function = Function(arguments="")
        index = call.index if isinstance(call.index, int) else None
        position = self._position(index, call.id or None, named=bool(said.name))
        if position == len(self._named):
            changed = self._begin(call, index, position) or changed
        else:
            if call.id is not UNSET:
                call.id, changed = UNSET, True
            if call.type is None or call.type == "":
                call.type, changed = UNSET, True
            if said.name is not UNSET and not said.name:
                said.name, changed = UNSET, True
        if said.name:
            if self._named[position]:
                said.name, changed = UNSET, True
            self._named[position] = True
        if call.index != position:
            call.index, changed = position, True
        self._last = position
        return changed

    def _begin(self, call: CallDelta, index: int | None, position: int) -> bool:
        """Register a new call. An id that another call has already is replaced, as is a missing one."""
        native = call.id or None
        if native is None and self._unnamed:
            native = self._unnamed.pop(index, None)
        own = native if native is not None and native not in self._used else f"call_{self._stem}_{position}"
        kind = "custom" if call.custom else "function"
        changed = own != call.id or call.type != kind
        if call.custom and not isinstance(call.custom.input, str):
            call.custom.input, changed = "", True
        elif call.function and not isinstance(call.function.arguments, str):
            call.function.arguments, changed = "", True
        call.id, call.type = own, kind
        self._used.add(own)
        self._own_ids.append(native)
        if native is not None:
            self._by_id.setdefault(native, position)
        self._named.append(False)
        if index is not None:
            self._by_index[index] = position
        return changed

    def _position(self, index: int | None, call_id: str | None, *, named: bool) -> int:
        """Return the position of the call that a piece belongs to; the number of calls for a new one.

        Some servers send index 0 with every call: another id beside a name begins another call.
        """
        new = len(self._named)
        if index is not None:
            position = self._by_index.get(index, new)
            if position < new and named and call_id is not None and call_id != self._own_ids[position]:
                return new
            return position
        if call_id is not None:
            return self._by_id.get(call_id, new)
        if self._last < 0 or (named and self._named[self._last]):
            return new
        return self._last
