"""Run each row of the matrix: one thing that a client may want, for one client API in front of one wire format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import httpx2

from lab.prefixes import MIN_TOKENS
from router_service.core.errors import ERROR_STATUS
from tests.clients.served import PNG, PNG_BYTES, asking
from tests.conftest import Stack
from tests.router_service.conversation.recording_lab import LabExchange, RecordingLab
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.conversation.spoken.spoken_format import Place, SpokenFormat
from tests.router_service.pairs.chat_clients import ChatClient, CompletionsClient
from tests.router_service.pairs.message_clients import MessagesClient, ResponsesClient
from tests.router_service.pairs.skin_client import (
    CUSTOM_NAME,
    TOOL_NAMES,
    PairRequest,
    SeenAnswer,
    SkinClient,
)
from tests.running import until

CLIENTS: dict[str, Callable[[], SkinClient]] = {
    one.name: one for one in (ChatClient, MessagesClient, ResponsesClient, CompletionsClient)
}
PLACES = {name: spoken.places[0] for name, spoken in SPOKEN.items()}
# Pieces after which every format has sent some text.
SOME_PIECES = 8
State = Literal["yes", "partly", "emulated", "unsupported"]
TURNS = "A prompt has no turns: the client writes the conversation into it as text, without its reasoning."
BY_FUNCTION = "The provider gets a function with one string argument; its call comes back as that of a custom tool."
BY_TOOL = "The provider is made to call a function with this schema; its arguments come back as the text."


@dataclass(frozen=True)
class PairResult:
    """Hold what one cell says; ``explanation`` is empty for ``yes`` alone."""

    state: State
    explanation: str = ""


YES = PairResult("yes")


class Refused(Exception):
    """Report that the router has refused a request of this pair, with its status and its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"The request is refused with {status}: “{message}”")


@dataclass
class PairWorld:
    """Send requests of one cell through a real router to a real lab, and keep what either side saw."""

    stack: Stack
    lab: RecordingLab
    http: httpx2.Client
    skin: str
    wire_format: str
    row: str

    @property
    def spoken(self) -> SpokenFormat:
        return SPOKEN[self.wire_format]

    @property
    def place(self) -> Place:
        return self.spoken.row_places.get(self.row, self.spoken.places[0])

    @property
    def model(self) -> str:
        return self.place.model

    @property
    def provider(self) -> str:
        return self.place.provider

    @property
    def note(self) -> str:
        """Return what the format says on a row that it cannot fill. Raises ``AssertionError`` if it says nothing."""
        assert self.row in self.spoken.notes
        return self.spoken.notes[self.row]

    def cancelled(self) -> int:
        """Return how many streams of the model the lab saw end early, in all of the provider's regions."""
        offered = self.stack.services.catalogue.endpoints[self.model]
        names = {f"{self.provider}:{one.upstream_model}" for one in offered if one.provider == self.provider}
        return sum(self.lab.cancelled[name] for name in names)

    def client(self) -> SkinClient:
        """Return a client at the beginning of a conversation."""
        return CLIENTS[self.skin]()

    def body(self, client: SkinClient, asked: PairRequest) -> dict[str, Any]:
        """Return the body of a request that goes to the provider of the pair alone."""
        return client.body(self.model, asked) | {"provider": {"only": [self.provider]}}

    def post(self, client: SkinClient, asked: PairRequest) -> httpx2.Response:
        """Return the response to a request."""
        return self.http.post(client.path, json=self.body(client, asked))

    def ask(self, client: SkinClient, asked: PairRequest) -> tuple[SeenAnswer, LabExchange]:
        """Return what the client and the provider saw. Raises ``Refused`` for what the router refuses itself."""
        before = len(self.lab.exchanges)
        response = self.post(client, asked)
        sent = self.lab.exchanges[before:]
        if response.status_code == 400 and not sent:
            client.check_error(400, response.json(), "invalid_request")
            raise Refused(400, response.json()["error"]["message"])
        assert response.status_code == 200, response.text
        assert not self.lab.refused
        (exchange,) = sent
        assert (exchange.provider, exchange.wire_format) == (self.provider, self.wire_format)
        assert exchange.streamed is asked.stream
        seen = client.read_stream(response.content) if asked.stream else client.read(response.json())
        row = self.record(response)
        assert (row["status"], row["skin"], row["wire_format"]) == (200, self.skin, self.wire_format)
        return seen, exchange

    def record(self, response: httpx2.Response) -> dict[str, Any]:
        """Return the record of a request."""
        return self.stack.record(response.headers["x-generation-id"])

    def answered(self, scenario: str, asked: PairRequest, image: str | None = None) -> tuple[SeenAnswer, LabExchange]:
        """Return what both sides saw of the answer to one prompt, which is complete and counted."""
        client = self.client()
        client.say(asking(scenario), image)
        seen, exchange = self.ask(client, asked)
        assert seen.error is None and seen.prompt > 0 and seen.completion > 0
        assert seen.finish == (client.called if seen.calls else client.complete)
        assert seen.text == "".join(item[1] for item in exchange.items() if item[0] == "text")
        return seen, exchange


def plain(world: PairWorld) -> PairResult:
    seen, _ = world.answered("text", PairRequest())
    assert seen.text and seen.completion - seen.reasoned == len(seen.text.split())
    return YES


def stream(world: PairWorld) -> PairResult:
    seen, _ = world.answered("text", PairRequest(stream=True))
    # Some models think without being asked to, and count it.
    assert seen.pieces == len(seen.text.split()) == seen.completion - seen.reasoned > 1
    return YES


def tools(world: PairWorld) -> PairResult:
    return _called(world, "tool", PairRequest(tools=TOOL_NAMES[:1]), 1)


def streamed_tools(world: PairWorld) -> PairResult:
    return _called(world, "tool", PairRequest(tools=TOOL_NAMES[:1], stream=True), 1)


def parallel_tools(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        found = _called(world, "parallel_tools", PairRequest(tools=TOOL_NAMES, stream=streamed), 2)
    return found


def _called(world: PairWorld, scenario: str, asked: PairRequest, count: int) -> PairResult:
    seen, exchange = world.answered(scenario, asked)
    assert seen.calls == [item[2:] for item in exchange.items() if item[0] == "call"]
    assert [name for name, _ in seen.calls] == list(TOOL_NAMES[:count])
    assert all(arguments == {"place": "Genoa"} for _, arguments in seen.calls)
    return YES


def custom_tool(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        seen, exchange = world.answered("tool", PairRequest(custom=True, stream=streamed))
        (call,) = (item[2:] for item in exchange.items() if item[0] == "call")
        (name, text) = seen.calls[0]
        assert name == CUSTOM_NAME and isinstance(text, str) and text
        if isinstance(call[1], str):
            assert call == (name, text)
            found = YES
        else:
            assert text in call[1].values()
            found = PairResult("emulated", BY_FUNCTION)
    return found


def json_schema(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        seen, exchange = world.answered("structured", PairRequest(schema=True, stream=streamed))
        assert json.loads(seen.text).keys() == {"place", "depth"}
        # Amazon takes a schema as a text, whose quotes are escaped.
        assert '"additionalProperties":false' in exchange.text.replace("\\", "")
        by_tool = any(item[0] == "call" for item in exchange.items())
    return PairResult("emulated", BY_TOOL) if by_tool else YES


def reasoning(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        seen, exchange = world.answered("thinking", PairRequest(reasoning=True, stream=streamed))
        thought = exchange.readable_reasoning()
        assert seen.reasoning == thought
        assert thought or seen.reasoned > 0
    if not thought:
        return PairResult("unsupported", world.note)
    return YES if seen.reasoned > 0 else PairResult("partly", world.note)


def image(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        seen, _ = world.answered("image", PairRequest(stream=streamed), PNG)
        assert f"image/png of {len(PNG_BYTES)} bytes" in seen.text
    return YES


def cached_prompt(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        client = world.client()
        # No other cell has sent a prompt that begins like this one.
        client.say(f"{world.skin} {streamed}" + " The tide turns twice a day." * MIN_TOKENS + asking("text"))
        asked = PairRequest(cached=True, stream=streamed)
        first, _ = world.ask(client, asked)
        again, _ = world.ask(client, asked)
        assert first.cached == 0 and MIN_TOKENS <= again.cached <= again.prompt == first.prompt
    return YES


def error_before(world: PairWorld) -> PairResult:
    for streamed in (False, True):
        client = world.client()
        client.say(asking("error_before:429"))
        response = world.post(client, PairRequest(stream=streamed))
        assert response.status_code == 429
        client.check_error(429, response.json(), "rate_limit_exceeded")
        row = world.record(response)
        assert (row["status"], row["error_type"], row["cancelled"]) == (429, "rate_limit_exceeded", False)
    return YES


def error_mid_stream(world: PairWorld) -> PairResult:
    return _broken(world, "error_mid")


def cut(world: PairWorld) -> PairResult:
    return _broken(world, "cut")


def _broken(world: PairWorld, scenario: str) -> PairResult:
    client = world.client()
    client.say(asking(scenario))
    response = world.post(client, PairRequest(stream=True))
    assert response.status_code == 200
    seen = client.read_stream(response.content)
    assert seen.text and seen.error is not None
    row = world.record(response)
    assert (row["status"], row["finish_reason"], row["cancelled"]) == (200, "error", False)
    client.check_error(ERROR_STATUS[row["error_type"]], seen.error, row["error_type"])
    return YES


def cancel(world: PairWorld) -> PairResult:
    client, before = world.client(), world.cancelled()
    client.say(asking("text"))
    world.lab.modes[world.provider] = {"mode": "stall", "after": SOME_PIECES}
    try:
        body = world.body(client, PairRequest(stream=True))
        with world.http.stream("POST", client.path, json=body) as response:
            # The connection is closed with the iterator, so it is kept until the provider has been looked at.
            lines = response.iter_lines()
            assert any(client.text_in(line) for line in lines)
            assert world.cancelled() == before
        until(lambda: world.cancelled() == before + 1, "the provider's connection is closed")
    finally:
        del world.lab.modes[world.provider]
    row = world.record(response)
    assert (row["cancelled"], row["ended_by_client"], row["status"]) == (True, True, 499)
    return YES


def second_turn(world: PairWorld) -> PairResult:
    """Reasoning with a signature goes back to the provider that has made it, and the text to every one."""
    for streamed in (False, True):
        client = world.client()
        client.say(asking("thinking"))
        seen, first = world.ask(client, PairRequest(reasoning=True, stream=streamed))
        client.keep(seen)
        client.say(asking("text"))
        again, second = world.ask(client, PairRequest(reasoning=True, stream=streamed))
        assert again.text and again.text != seen.text
        assert seen.text in second.text
        proofs = first.proofs()
        returned = all(proof in second.text for proof in proofs)
        assert bool(proofs) is world.spoken.proves
        is_prompt = world.skin == CompletionsClient.name
        if not proofs and world.spoken.returns != "no":
            # Reasoning that is not signed is known again by its text.
            returned = first.readable_reasoning() in second.text
        assert returned or is_prompt
    return PairResult("emulated", TURNS) if is_prompt else YES


ROWS: dict[str, Callable[[PairWorld], PairResult]] = {
    "plain": plain,
    "stream": stream,
    "tools": tools,
    "tools streamed": streamed_tools,
    "parallel tool calls": parallel_tools,
    "custom tool": custom_tool,
    "json_schema": json_schema,
    "reasoning": reasoning,
    "image in": image,
    "cached prompt": cached_prompt,
    "error before the first token": error_before,
    "error mid-stream": error_mid_stream,
    "cut": cut,
    "cancel": cancel,
    "second turn": second_turn,
}


def run_row(world: PairWorld) -> PairResult:
    """Return what a cell says after its requests. Raises ``AssertionError`` where the router does something wrong."""
    world.lab.refused.clear()
    try:
        return ROWS[world.row](world)
    except Refused as refused:
        return PairResult("unsupported", str(refused))
