"""Test that a conversation goes on, whichever provider and wire format answers its next turn.

Two labs stand for the vendors' accounts: each refuses what the other has signed. Both refuse what the vendors refuse.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from lab.server import create_app
from tests.conftest import Stack, open_stack, serving
from tests.router_service.conversation.conversation_checks import Conversation
from tests.router_service.conversation.drivers import (
    ChatDriver,
    CompletionsDriver,
    Driver,
    MessagesDriver,
    ResponsesDriver,
    ToolOutput,
)
from tests.router_service.conversation.recording_lab import LabExchange, RecordingLab
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.conversation.spoken.spoken_format import Place
from tests.router_service.providers.formats.bedrock_converse.converse_world import account_file

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n the quay").decode()
OTHER_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n the chart").decode()
TOOLS: Sequence[tuple[str, dict[str, Any]]] = (
    ("tide", {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}),
    ("depth-of", {"type": "object", "properties": {"metres": {"type": "integer"}}, "required": ["metres"]}),
    ("berths", {"type": "object", "properties": {}}),
)
SONNET, OPUS, HAIKU, MINIMAX = SPOKEN["anthropic_messages"].places
MINI, OPENAI, MISTRAL, DEEPSEEK, MOONSHOT, GROQ = SPOKEN["openai_chat"].places
CODEX, PRO, GROK = SPOKEN["openai_responses"].places
FLASH, FLASH_25, PRO_3, FLASH_2 = SPOKEN["gemini"].places
EVERY_PLACE = [place for spoken in SPOKEN.values() for place in spoken.places]
DRIVERS = {"messages": MessagesDriver, "chat": ChatDriver, "responses": ResponsesDriver}
SKINS = [*DRIVERS]
# The client API of each wire format's own dialect.
OWN_SKINS = {"anthropic_messages": "messages", "openai_responses": "responses"}
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, RecordingLab]]:
    """Open a router in front of two labs, of which one is MiniMax."""
    exchanges: list[LabExchange] = []
    lab = RecordingLab(time_scale=0.0, faults=False, strict=True, exchanges=exchanges)
    other = RecordingLab(seed=11, time_scale=0.0, faults=False, strict=True, exchanges=exchanges, refused=lab.refused)
    folder = tmp_path_factory.mktemp("conversation")
    with (
        serving(create_app(other)) as other_url,
        serving(create_app(lab)) as aws,
        open_stack(
            folder,
            lab,
            provider_urls={"minimax": f"{other_url}/minimax/v1"},
            config=account_file(folder, aws),
        ) as stack,
    ):
        yield stack, lab


@contextlib.contextmanager
def opened(world: tuple[Stack, RecordingLab], skin: str) -> Iterator[Conversation]:
    """Begin a conversation through ``skin``."""
    stack, lab = world
    lab.refused.clear()
    driver: Driver = DRIVERS[skin].at(stack, TOOLS)
    with driver.client:
        yield Conversation(stack, lab, driver)


def asking(scenario: str, text: str = "What now, pilot?", place: Place | None = None) -> str:
    """Return a prompt that the lab answers by ``scenario``, or by what stands for it at ``place``."""
    scenario = SPOKEN[place.wire_format].instead.get(scenario, scenario) if place else scenario
    return f"{text} [lab:scenario={scenario}]"


def asker(held: Conversation, streams: str) -> Callable[..., Sequence[Any]]:
    """Return what asks a place for the next turn, of which ``streams`` says whether it is streamed, and its calls."""
    asked = 0

    def ask(place: Place, *, thinks: bool = True) -> Sequence[Any]:
        nonlocal asked
        asked += 1
        stream = streams == "every turn" or (streams == "every other turn" and asked % 2 == 0)
        return held.ask(place, stream=stream, thinks=thinks).calls

    return ask


@pytest.mark.parametrize("skin", SKINS)
@pytest.mark.parametrize("streams", ["no turn", "every turn", "every other turn"])
def test_a_conversation_changes_its_wire_format_at_every_turn(
    world: tuple[Stack, RecordingLab], skin: str, streams: str
) -> None:
    with opened(world, skin) as held:
        _change_formats(held, streams)


def _change_formats(held: Conversation, streams: str) -> None:
    ask = asker(held, streams)
    held.say(asking("redacted", "What do you see on this picture?"), PNG)
    assert not ask(SONNET)
    held.say(asking("tool_loop"))
    assert len(ask(OPENAI)) == 1
    held.give([ToolOutput("High water at noon.")])
    assert not ask(MINIMAX)
    held.say(asking("parallel_tools"))
    assert len(ask(MISTRAL, thinks=False)) == 3
    outputs = [ToolOutput("Two metres."), ToolOutput("A chart:", OTHER_PNG), ToolOutput("No berth.", failed=True)]
    held.give(outputs, note=asking("text", "Go on."))
    assert not ask(SONNET)
    held.say(asking("thinking"))
    assert not ask(DEEPSEEK)
    held.say(asking("parallel_tools"))
    assert len(ask(SONNET)) == 3
    held.give([ToolOutput("Ebb."), ToolOutput(image=PNG), ToolOutput()], note=asking("text"))
    assert not ask(GROQ)
    held.say(asking("tool_loop:2"))
    assert len(ask(OPUS)) == 1
    held.give([ToolOutput("Springs.")])
    assert len(ask(MOONSHOT)) == 1
    held.give([ToolOutput("Neaps.")])
    assert not ask(MINIMAX)
    held.say(asking("redacted", "Think again."))
    assert not ask(OPENAI)
    held.say(asking("text", "And the first picture?"), OTHER_PNG)
    assert not ask(HAIKU)
    assert len({place.provider for place, _ in held.answers}) == 7
    formats = [place.wire_format for place, _ in held.answers]
    assert all(first != second for first, second in itertools.pairwise(formats)) and len(formats) == 13


@pytest.mark.parametrize(
    "number", range(len(EVERY_PLACE) - 1), ids=[f"{p.provider}:{p.model}" for p in EVERY_PLACE[:-1]]
)
def test_every_provider_takes_over_from_every_other(world: tuple[Stack, RecordingLab], number: int) -> None:
    """Over all places this is each ordered pair once, at a turn with calls, reasoning or an image."""
    place, *others = EVERY_PLACE[number:]
    turns = [place, *(found for other in others for found in (other, place))]
    scenarios = itertools.cycle(("redacted", "tool", "thinking", "parallel_tools", "text"))
    with opened(world, OWN_SKINS.get(place.wire_format, "chat")) as held:
        calls: Sequence[Any] = ()
        for turn, at in enumerate(turns):
            if calls:
                held.give([ToolOutput("Ebb.", PNG if turn % 4 else None) for _ in calls])
            else:
                held.say(asking(next(scenarios), place=at), PNG if turn % 3 == 0 else None)
            calls = held.ask(at, stream=turn % 2 == 0, thinks=turn % 3 != 1).calls


@pytest.mark.parametrize("skin", SKINS)
@pytest.mark.parametrize("streams", ["no turn", "every turn", "every other turn"])
def test_a_conversation_changes_among_three_formats(world: tuple[Stack, RecordingLab], skin: str, streams: str) -> None:
    """Reasoning returns to the account that has encrypted it, after turns of every other format."""
    with opened(world, skin) as held:
        _change_among_three(held, streams)


def _change_among_three(held: Conversation, streams: str) -> None:
    ask = asker(held, streams)
    held.say(asking("redacted", "What do you see on this picture?"), PNG)
    assert not ask(CODEX)
    held.say(asking("parallel_tools"))
    assert len(ask(SONNET)) == 3
    outputs = [ToolOutput("Two metres."), ToolOutput("A chart:", OTHER_PNG), ToolOutput("No berth.", failed=True)]
    held.give(outputs, note=asking("text"))
    assert not ask(OPENAI)
    held.say(asking("tool_loop:3"))
    assert len(ask(CODEX)) == 1
    held.give([ToolOutput("High water.")])
    assert len(ask(OPENAI)) == 1
    held.give([ToolOutput("Springs.")])
    assert len(ask(PRO)) == 1
    held.give([ToolOutput(image=PNG)], note=asking("text", "Go on."))
    assert not ask(MINIMAX)
    held.say(asking("thinking"))
    assert not ask(GROK)
    held.say(asking("parallel_tools"))
    assert len(ask(CODEX, thinks=False)) == 3
    held.give([ToolOutput("Ebb."), ToolOutput(), ToolOutput("é")], note=asking("tool"))
    assert len(ask(MISTRAL, thinks=False)) == 1
    held.give([ToolOutput("Neaps.")], note=asking("text"))
    assert not ask(GROK)
    held.say(asking("redacted", "Think again."))
    assert not ask(SONNET)
    held.say(asking("text", "And the first picture?"), OTHER_PNG)
    assert not ask(CODEX)
    assert len({place.wire_format for place, _ in held.answers}) == 3


@pytest.mark.parametrize("skin", SKINS)
@pytest.mark.parametrize("streams", ["no turn", "every turn", "every other turn"])
def test_a_conversation_changes_among_four_formats(world: tuple[Stack, RecordingLab], skin: str, streams: str) -> None:
    """Google's signatures return to it after turns of every other format, whose calls need none of it."""
    with opened(world, skin) as held:
        _change_among_four(held, streams)


def _change_among_four(held: Conversation, streams: str) -> None:
    ask = asker(held, streams)
    held.say(asking("thinking", "What do you see on this picture?"), PNG)
    assert not ask(FLASH)
    held.say(asking("parallel_tools"))
    assert len(ask(SONNET)) == 3
    outputs = [ToolOutput("Two metres."), ToolOutput("A chart:", OTHER_PNG), ToolOutput("No berth.", failed=True)]
    held.give(outputs, note=asking("text"))
    assert not ask(FLASH)
    held.say(asking("tool_loop:4"))
    assert len(ask(PRO_3)) == 1
    held.give([ToolOutput("High water.")])
    assert len(ask(CODEX)) == 1
    held.give([ToolOutput("Springs.")])
    assert len(ask(FLASH)) == 1
    held.give([ToolOutput(image=PNG)])
    assert len(ask(OPENAI)) == 1
    held.give([ToolOutput("Neaps.")])
    assert not ask(FLASH)
    held.say(asking("parallel_tools"))
    assert len(ask(FLASH)) == 3
    held.give([ToolOutput("Ebb."), ToolOutput(), ToolOutput("é")], note=asking("tool"))
    assert len(ask(FLASH_25)) == 1
    held.give([ToolOutput("Slack.")], note=asking("text"))
    assert not ask(MINIMAX)
    held.say(asking("thinking"))
    assert not ask(PRO_3)
    held.say(asking("tool"))
    assert len(ask(FLASH_2, thinks=False)) == 1
    held.give([ToolOutput("Done.")], note=asking("text"))
    assert not ask(SONNET)
    held.say(asking("text", "And the first picture?"), OTHER_PNG)
    assert not ask(FLASH)
    assert {place.wire_format for place, _ in held.answers} == {
        "anthropic_messages",
        "openai_chat",
        "openai_responses",
        "gemini",
    }


@pytest.mark.parametrize("skin", SKINS)
@pytest.mark.parametrize("streams", ["no turn", "every turn", "every other turn"])
def test_a_conversation_goes_through_all_formats(world: tuple[Stack, RecordingLab], skin: str, streams: str) -> None:
    """Each turn changes the format: thinking, calls with results in text and images, and a picture of the user."""
    with opened(world, skin) as held:
        ask = asker(held, streams)
        places = [spoken.places[0] for spoken in SPOKEN.values()]
        scenarios = ("redacted", "parallel_tools", "thinking", "tool_loop:2", "text")
        wanted = itertools.cycle(scenarios)
        calls: Sequence[Any] = ()
        for turn, place in enumerate(places * len(scenarios)):
            if calls:
                outputs = [ToolOutput("Ebb.", PNG if number == 1 else None) for number, _ in enumerate(calls)]
                held.give(outputs, note=asking(next(wanted), place=place) if turn % 2 else None)
            else:
                held.say(asking(next(wanted), place=place), OTHER_PNG if turn % 3 == 0 else None)
            calls = ask(place)
        assert {place.wire_format for place, _ in held.answers} == {spoken.name for spoken in SPOKEN.values()}


@pytest.mark.parametrize("skin", SKINS)
@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 20))])
def test_random_conversations_go_on(world: tuple[Stack, RecordingLab], skin: str, seed: int) -> None:
    dice = random.Random(seed)
    with opened(world, skin) as held:
        calls: Sequence[Any] = ()
        for _ in range(dice.randint(4, 12)):
            place = dice.choice(dice.choice([spoken.places for spoken in SPOKEN.values()]))
            if calls:
                outputs = [_output(dice) for _ in calls]
                note = asking(_scenario(dice), place=place) if dice.random() < 0.3 else None
                held.give(outputs, note)
            else:
                image = dice.choice((PNG, OTHER_PNG)) if dice.random() < 0.3 else None
                held.say(asking(_scenario(dice), place=place), image)
            calls = held.ask(place, stream=dice.random() < 0.5, thinks=dice.random() < 0.6).calls


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_a_prompt_goes_on_at_every_provider(world: tuple[Stack, RecordingLab], streams: bool) -> None:
    """Legacy completions have no turns: all that was said before is in the prompt, which is one text of the user."""
    stack, lab = world
    lab.refused.clear()
    driver = CompletionsDriver.at(stack)
    with driver.client:
        for turn, place in enumerate((*EVERY_PLACE, CODEX, SONNET, OPENAI)):
            driver.say(asking("thinking" if turn % 2 else "text", f"Question {turn}?"))
            sent = driver.prompt
            seen = driver.ask(place, stream=streams, thinks=turn % 2 == 1)
            exchange = lab.exchanges[-1]
            assert (exchange.provider, exchange.wire_format) == (place.provider, place.wire_format)
            assert json.dumps(sent, ensure_ascii=False) in exchange.text
            assert seen.text == "".join(item[1] for item in exchange.items() if item[0] == "text") != ""
    assert not lab.refused


def _scenario(dice: random.Random) -> str:
    return dice.choice(("text", "thinking", "redacted", "tool", "parallel_tools", "tool_loop:2", "tool_loop:3"))


def _output(dice: random.Random) -> ToolOutput:
    text = dice.choice(("", "The tide turns.", '{"metres": 4}', "é 漢 🜲 \u2028"))
    image = dice.choice((None, None, PNG))
    # A result without any content is possible, but the vendor wants one for an error.
    return ToolOutput(text, image, failed=bool(text) and dice.random() < 0.2)
