"""Hold a conversation over providers of several wire formats, and check what reaches each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from router_service.core.origin import PREFIX
from tests.conftest import Stack
from tests.router_service.conversation.drivers import Driver, Seen, ToolOutput
from tests.router_service.conversation.recording_lab import LabExchange, RecordingLab
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.conversation.spoken.spoken_format import Item, Place, Received

SIGNED = ("thinking", "plan", "redacted", "sealed", "signed")
MISTRAL_ID = re.compile("[a-zA-Z0-9]{9}")


@dataclass
class Conversation:
    """Drive one conversation and keep what it consists of, as its user and its providers wrote it."""

    stack: Stack
    lab: RecordingLab
    driver: Driver
    answers: list[tuple[Place, list[Item]]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    outputs: list[ToolOutput] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    pending: bool = False

    def say(self, text: str, image: str | None = None) -> None:
        """Append a turn of the user."""
        self.driver.say(text, image)
        self.said.append(text)
        self.images += [] if image is None else [image]
        self.pending = False

    def give(self, outputs: Sequence[ToolOutput], note: str | None = None) -> None:
        """Append the results of the calls of the last answer."""
        self.driver.give(outputs, note)
        self.outputs += outputs
        self.images += [output.image for output in outputs if output.image is not None]
        self.said += [] if note is None else [note]
        self.pending = True

    def ask(self, place: Place, *, stream: bool, thinks: bool) -> Seen:
        """Send the conversation to ``place``, and check what it was sent, what it answered and what was logged."""
        before = len(self.lab.exchanges)
        seen = self.driver.ask(place, stream=stream, thinks=thinks)
        (exchange,) = self.lab.exchanges[before:]
        assert (exchange.provider, exchange.wire_format) == (place.provider, place.wire_format)
        assert not self.lab.refused
        self._check_request(exchange, place, thinks)
        self._check_record(place, seen, thinks)
        answered = exchange.items()
        assert seen.text == "".join(item[1] for item in answered if item[0] == "text")
        assert [call[1:] for call in seen.calls] == [item[2:] for item in answered if item[0] == "call"]
        self.answers.append((place, answered))
        self.seen.append(seen)
        return seen

    def _check_request(self, exchange: LabExchange, place: Place, thinks: bool) -> None:
        body, spoken = exchange.body, SPOKEN[place.wire_format]
        assert body.keys() <= spoken.fields
        for own in (PREFIX, "reasoning_details", *(seen.generation for seen in self.seen)):
            assert own not in exchange.text
        own = [items for at, items in self.answers if _is_origin(at, place)]
        received = spoken.received(body)
        if received.kind("plan"):
            pairs = zip(received.assistant, self.answers, strict=True)
            received.assistant = [_with_texts(turn, items) for turn, (_, items) in pairs]
        said = [item for _, items in self.answers for item in items]
        for kind in ("text", "call"):
            wanted = [item[1] if kind == "text" else item[2:] for item in said if item[0] == kind]
            found = [item[1] if kind == "text" else item[2:] for item in received.kind(kind)]
            assert found == wanted if kind == "call" else "".join(found) == "".join(wanted)
        assert received.said == self.said
        assert received.images == self.images
        self._check_ids(received, place)
        wanted = [item for items in own for item in items if item[0] in SIGNED]
        found = [item for item in received.items if item[0] in SIGNED]
        if not spoken.proves:
            # Readable reasoning of unknown origin may be there as well.
            found = [item for item in found if item in wanted]
        assert found == wanted
        for items in own:
            if any(item[0] in SIGNED for item in items):
                assert any(_contains(turn, items) for turn in received.assistant)

    def _check_ids(self, received: Received, place: Place) -> None:
        calls = received.kind("call")
        ids = [call[1] for call in calls]
        accepted = SPOKEN[place.wire_format].call_ids
        if accepted is None:
            # Calls and responses are paired by their order, whether or not they have ids.
            assert list(received.results.values()) == [output.text for output in self.outputs]
            assert len(received.results) == len(ids)
            return
        assert len(set(ids)) == len(ids)
        pattern = MISTRAL_ID if place.provider == "mistral" else accepted
        assert all(pattern.fullmatch(one) for one in ids)
        assert [received.results[one] for one in ids] == [output.text for output in self.outputs]
        assert len(received.results) == len(ids)

    def _check_record(self, place: Place, seen: Seen, thinks: bool) -> None:
        row = self.stack.record(seen.generation)
        assert (row["status"], row["provider"], row["wire_format"]) == (200, place.provider, place.wire_format)
        assert len(row["attempts"]) == 1
        expected, dropped = self._expected_drops(place, thinks), set(row["dropped_parameters"])
        # Reasoning in readable text goes to some providers of the chat format and not to others.
        assert expected <= dropped <= expected | {"reasoning"}

    def _expected_drops(self, place: Place, thinks: bool) -> set[str]:
        proven = [(at, items) for at, items in self.answers if SPOKEN[at.wire_format].proves]
        signed = [at for at, items in proven if any(item[0] in SIGNED for item in items)]
        found = {"reasoning"} if any(not _is_origin(at, place) for at in signed) else set()
        spoken = SPOKEN[place.wire_format]
        if thinks and not spoken.takes_budget(place.model):
            found.add("reasoning.max_tokens")
        if thinks and spoken.begins_with_thinking and self._cannot_think(place):
            found.add("reasoning")
        return found

    def _cannot_think(self, place: Place) -> bool:
        """Return whether results are pending for a turn that, at ``place``, does not begin with thinking."""
        at, items = self.answers[-1] if self.answers else (place, [])
        return self.pending and not (_is_origin(at, place) and items[0][0] in SIGNED)


def _is_origin(at: Place, place: Place) -> bool:
    """Return whether what ``at`` has signed or thought goes back to ``place``."""
    returns = SPOKEN[place.wire_format].returns
    return at == place if returns == "model" else returns == "provider" and _account(at) == _account(place)


def _account(place: Place) -> tuple[str, ...]:
    """Return who signs at ``place``: what Claude has signed on one platform is valid on every other."""
    return ("claude",) if place.model.startswith("anthropic/") else (place.wire_format, place.provider)


def _with_texts(turn: list[Item], items: Sequence[Item]) -> list[Item]:
    """Return ``turn`` with the text of the answer ``items`` apart from the plan that it was sent in."""
    said = "".join(item[1] for item in items if item[0] == "text")
    found: list[Item] = []
    for item in turn:
        if item[0] != "plan":
            found.append(item)
            continue
        assert item[1].endswith(said)
        plan = item[1].removesuffix(said).rstrip("\n")
        found += [("plan", plan)] if plan else []
        found += [("text", said)] if said else []
    return found


def _contains(turn: Sequence[Item], items: Sequence[Item]) -> bool:
    return any(list(turn[start : start + len(items)]) == list(items) for start in range(len(turn)))
