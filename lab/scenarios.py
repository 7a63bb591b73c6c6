"""Play named scripts, which a marker in the last text of the user chooses: ``[lab:scenario=tool_loop]``.

A script uses the tools, images, documents and stop sequences that it was sent, in any wire format.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.compliance import prompted_arguments, prompted_object
from lab.conversation import Conversation, OfferedTool
from lab.responses_hosted import HOSTED_ITEMS
from lab.schema_values import UnsupportedSchema, schema_value
from lab.script import (
    Called,
    CitedSource,
    Declined,
    Drawn,
    Ending,
    HiddenThought,
    Part,
    RanTool,
    SaidText,
    Script,
    Searched,
    Thought,
    in_pieces,
)
from lab.text import WORDS

MAX_CALLS_AT_ONCE = 3
MAX_NAMED_CALLS = 20
MAX_SILENCE_S = 600.0
MAX_QUOTE = 2000
PAGE = CitedSource("The tide turns twice a day.", "Tides", "https://harbour.example/tides")
# A picture of one pixel, in base64.
CHART = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class ScenarioError(Exception):
    """A scenario that cannot be played for this request; the text says what to change."""


class ScenarioFailure(Exception):
    """A response that is to fail with ``status`` before it starts."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


Play = Callable[[Conversation, random.Random], Script]


@dataclass(frozen=True, slots=True)
class ScriptedScenario:
    """A script and what it shows, for the documentation."""

    shows: str
    play: Play


def play(conversation: Conversation, dice: random.Random) -> Script:
    """Return the script that the marker asks for. Raises ``ScenarioError`` or ``ScenarioFailure``."""
    scenario = SCENARIOS.get(conversation.scenario or "text")
    if scenario is None:
        known = ", ".join(SCENARIOS)
        raise ScenarioError(f"The lab has no scenario {conversation.scenario!r}. It has: {known}.")
    return finish(scenario.play(conversation, dice), conversation, dice)


def finish(script: Script, conversation: Conversation, dice: random.Random) -> Script:
    """Return ``script`` as the request's parameters change it: with thinking, and within ``max_tokens``."""
    # A turn thinks once, before its first call; a turn that goes on after tool results has done so.
    if conversation.thinks and not conversation.results and not conversation.continues:
        script = script.thinking(_thought(dice))
    return script.limited(conversation.max_tokens)


def _words(dice: random.Random, count: int) -> tuple[str, ...]:
    return in_pieces(" ".join(dice.choice(WORDS) for _ in range(count)))


def _thought(dice: random.Random) -> Thought:
    return Thought(_words(dice, 16))


def _text(_conversation: Conversation, dice: random.Random) -> Script:
    return Script((SaidText(_words(dice, 12)),))


def _thinking(_conversation: Conversation, dice: random.Random) -> Script:
    return Script((_thought(dice), SaidText(_words(dice, 8))))


def _redacted(_conversation: Conversation, dice: random.Random) -> Script:
    return Script((_thought(dice), HiddenThought("".join(_words(dice, 8))), SaidText(_words(dice, 8))))


def _call(tool: OfferedTool, dice: random.Random) -> Called:
    """Return a call of ``tool`` with arguments that are valid under its schema."""
    number = dice.getrandbits(60)
    if tool.custom:
        return Called(number, tool.name, "Genoa, then the cape", custom=True)
    try:
        return Called(number, tool.name, json.dumps(schema_value(tool.schema)))
    except UnsupportedSchema as error:
        raise ScenarioError(f"The lab cannot make arguments for the tool {tool.name!r}: {error}.") from None


def _offered(conversation: Conversation) -> tuple[OfferedTool, ...]:
    if not conversation.tools:
        raise ScenarioError(
            f"The scenario {conversation.scenario!r} calls tools. Send `tools` that the model may call."
        )
    return conversation.tools


def _calls(tools: Sequence[OfferedTool], dice: random.Random, *before: Part) -> Script:
    return Script((*before, *(_call(tool, dice) for tool in tools)), "tools")


def _tool(conversation: Conversation, dice: random.Random) -> Script:
    return _calls(_offered(conversation)[:1], dice)


def _parallel_tools(conversation: Conversation, dice: random.Random) -> Script:
    tools = list(_offered(conversation)[:MAX_CALLS_AT_ONCE])
    tools = tools * 2 if len(tools) == 1 else tools
    return _calls(tools if conversation.parallel else tools[:1], dice)


def _tool_loop(conversation: Conversation, dice: random.Random) -> Script:
    """Call one tool a turn, as often as the argument says, then quote the results."""
    rounds, done = int(_number(conversation, 1, 1, 20)), len(conversation.results)
    if done < rounds:
        tools = _offered(conversation)
        return _calls((tools[done % len(tools)],), dice, SaidText(in_pieces("I look that up.")))
    return _quoted(conversation)


def _quoted(conversation: Conversation) -> Script:
    quoted = "; ".join(f'"{result[:MAX_QUOTE]}"' for result in conversation.results)
    return Script((SaidText(in_pieces(f"The tools returned {quoted}.")),))


def _named_calls(conversation: Conversation, dice: random.Random) -> Script:
    """Make the calls that the argument lists, one a turn and with its arguments, then quote the results."""
    wanted, done = _listed_calls(conversation), len(conversation.results)
    if done >= len(wanted):
        return _quoted(conversation)
    name, arguments = wanted[done]
    offered = [tool.name for tool in _offered(conversation)]
    if name not in offered:
        raise ScenarioError(f"The request has no tool {name!r} to call. It has: {', '.join(offered)}.")
    return Script(
        (SaidText(in_pieces("I do that.")), Called(dice.getrandbits(60), name, json.dumps(arguments))), "tools"
    )


def _listed_calls(conversation: Conversation) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the arguments of each call that the marker's argument lists."""
    shape = f'base64url of a JSON array of at most {MAX_NAMED_CALLS} calls such as ["weather", {{"place": "Genoa"}}]'
    try:
        found = json.loads(_decoded(conversation.argument))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_NAMED_CALLS or not all(map(_is_call, found)):
        raise ScenarioError(f"The argument of the scenario 'named_calls' must be {shape}.")
    return [(name, arguments) for name, arguments in found]


def _decoded(argument: str) -> str:
    """Return the text of an argument in base64url, padded or not. Raises ``ValueError``."""
    return base64.b64decode(argument + "=" * (-len(argument) % 4), altchars="-_", validate=True).decode()


def _say(conversation: Conversation, _dice: random.Random) -> Script:
    """Say the text that the argument encodes."""
    try:
        text = _decoded(conversation.argument)
    except ValueError:
        text = ""
    if not text:
        raise ScenarioError("The argument of the scenario 'say' must be base64url of a text in UTF-8.")
    return Script((SaidText(in_pieces(text)),))


def _is_call(value: Any) -> bool:
    return isinstance(value, list) and [type(one) for one in value] == [str, dict]


def _image(conversation: Conversation, _dice: random.Random) -> Script:
    if not conversation.images:
        raise ScenarioError("The scenario 'image' describes images. Send one.")
    return Script((SaidText(in_pieces(f"I see {' and '.join(conversation.images)}.")),))


def _citations(conversation: Conversation, _dice: random.Random) -> Script:
    """Quote the first sentence of the first document, or a page of the web."""
    source = PAGE
    if conversation.documents:
        quote = conversation.documents[0][:200].split(".")[0] or conversation.documents[0][:1]
        source = CitedSource(quote, "document", None, 0)
    return Script((SaidText(in_pieces(f"It says: {source.quote}"), (source,)), SaidText((" That", " is", " all."))))


def _hosted(conversation: Conversation, dice: random.Random) -> Script:
    """Search the web, or run the tool that the argument names."""
    if conversation.argument and conversation.scenario == "hosted":
        if conversation.argument not in HOSTED_ITEMS:
            known = ", ".join(HOSTED_ITEMS)
            raise ScenarioError(f"The lab runs no tool {conversation.argument!r}. It runs: {known}.")
        return Script((RanTool(conversation.argument), SaidText(_words(dice, 8))))
    search = Searched(f"srvtoolu_{dice.getrandbits(60):x}", "tide tables", (PAGE,))
    return Script((search, SaidText(in_pieces(PAGE.quote), (PAGE,))))


def _pause_turn(conversation: Conversation, dice: random.Random) -> Script:
    """Stop within a search, and finish it when the paused turn comes back."""
    if conversation.paused:
        search = Searched(conversation.paused, "tide tables", (PAGE,), resumed=True)
        return Script((search, SaidText(in_pieces(PAGE.quote), (PAGE,))))
    search = Searched(f"srvtoolu_{dice.getrandbits(60):x}", "tide tables", None)
    return Script((SaidText(in_pieces("I search for that.")), search), "pause")


def _structured(conversation: Conversation, _dice: random.Random) -> Script:
    """Return a value of the schema that the request prescribes for the text."""
    if conversation.schema is None:
        raise ScenarioError("The scenario 'structured' follows the schema of the output format. Send one.")
    try:
        return Script((SaidText(in_pieces(json.dumps(schema_value(conversation.schema)))),))
    except UnsupportedSchema as error:
        raise ScenarioError(f"The lab cannot make a value of the output format: {error}.") from None


def _comply(conversation: Conversation, dice: random.Random) -> Script:
    """Do what a request without a marker asks for: call the first tool once, give JSON where it must be, else text."""
    if conversation.results or not conversation.tools:
        if conversation.schema is not None:
            return _structured(conversation, dice)
        if conversation.json_mode:
            return Script((SaidText(in_pieces(json.dumps(prompted_object(conversation.prompt)))),))
        return _text(conversation, dice)
    tool = conversation.tools[0]
    if tool.custom:
        return _calls((tool,), dice)
    try:
        arguments = prompted_arguments(tool.name, tool.schema, conversation.prompt)
    except UnsupportedSchema as error:
        raise ScenarioError(f"The lab cannot make arguments for the tool {tool.name!r}: {error}.") from None
    call = Called(dice.getrandbits(60), tool.name, json.dumps(arguments, ensure_ascii=False))
    return Script((call,), "tools")


def _draw(_conversation: Conversation, _dice: random.Random) -> Script:
    return Script((SaidText(in_pieces("Here is the chart.")), Drawn("image/png", CHART)))


def _blocked(_conversation: Conversation, _dice: random.Random) -> Script:
    return Script((), "blocked")


def _refusal(_conversation: Conversation, _dice: random.Random) -> Script:
    return Script((Declined(in_pieces("I cannot help with that.")),), "refusal")


def _length(conversation: Conversation, dice: random.Random) -> Script:
    count = min(conversation.max_tokens or 12, 400)
    return Script((SaidText(_words(dice, count)),), "length")


def _stop_sequence(conversation: Conversation, dice: random.Random) -> Script:
    if not conversation.stops:
        raise ScenarioError("The scenario 'stop_sequence' stops at a stop sequence. Send one.")
    return Script((SaidText(_words(dice, 6)),), "stop_sequence", conversation.stops[0])


def _error_before(conversation: Conversation, _dice: random.Random) -> Script:
    raise ScenarioFailure(int(_number(conversation, 500, 400, 599)))


def _error_mid(conversation: Conversation, dice: random.Random) -> Script:
    return replace(_text(conversation, dice), breaks="error")


def _failed(conversation: Conversation, dice: random.Random) -> Script:
    return replace(_text(conversation, dice), ending="failed")


def _cut(conversation: Conversation, dice: random.Random) -> Script:
    return replace(_text(conversation, dice), breaks="cut")


def _slow(conversation: Conversation, dice: random.Random) -> Script:
    return Script((SaidText(_words(dice, 3)),), silence_s=_number(conversation, 1, 0, MAX_SILENCE_S))


def _every_event(conversation: Conversation, dice: random.Random) -> Script:
    """Show every part that the wire format has; it calls tools if any were sent."""
    parts: list[Part] = [_thought(dice), HiddenThought("".join(_words(dice, 8)))]
    parts += _hosted(conversation, dice).parts
    ending: Ending = "end"
    if conversation.tools:
        tools = conversation.tools[: MAX_CALLS_AT_ONCE if conversation.parallel else 1]
        parts += [_call(tool, dice) for tool in tools]
        ending = "tools"
    return Script(tuple(parts), ending)


def _number(conversation: Conversation, default: float, low: float, high: float) -> float:
    """Return the argument of the marker as a number."""
    try:
        value = float(conversation.argument or default)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        name, got = conversation.scenario, conversation.argument
        raise ScenarioError(f"The scenario {name!r} takes a number from {low:g} to {high:g}, not {got!r}.")
    return value


SCENARIOS = {
    "text": ScriptedScenario("a short text", _text),
    "thinking": ScriptedScenario("thinking with a signature, then text", _thinking),
    "redacted": ScriptedScenario("thinking, redacted thinking, then text", _redacted),
    "tool": ScriptedScenario("one call of the first tool", _tool),
    "parallel_tools": ScriptedScenario("calls of up to three tools in one turn", _parallel_tools),
    "tool_loop": ScriptedScenario(
        "one call a turn (`tool_loop:3`: three turns), then text that quotes the results", _tool_loop
    ),
    "named_calls": ScriptedScenario(
        "the calls of the argument, one a turn, then text that quotes the results", _named_calls
    ),
    "say": ScriptedScenario("the text of the argument", _say),
    "image": ScriptedScenario("text that names the type and size of each image", _image),
    "citations": ScriptedScenario("text that cites the first text document or a web page", _citations),
    "hosted": ScriptedScenario(
        "a web search by the provider, its result, text that cites it; `hosted:mcp`: another tool of OpenAI's", _hosted
    ),
    "structured": ScriptedScenario("JSON that is valid under the schema of the output format", _structured),
    "comply": ScriptedScenario(
        "a call of the first tool, with values that the prompt names, then text, or JSON if it was asked for", _comply
    ),
    "draw": ScriptedScenario("text and an image that the model has made", _draw),
    "refusal": ScriptedScenario("a refusal", _refusal),
    "blocked": ScriptedScenario("a prompt that is blocked before the model answers", _blocked),
    "length": ScriptedScenario("text that ends at `max_tokens`", _length),
    "stop_sequence": ScriptedScenario("text that ends at the first stop sequence", _stop_sequence),
    "pause_turn": ScriptedScenario("a turn that pauses within a search, and ends when it is sent back", _pause_turn),
    "error_before": ScriptedScenario("an error instead of a response (`error_before:529`)", _error_before),
    "error_mid": ScriptedScenario("a stream that ends with an error event", _error_mid),
    "failed": ScriptedScenario("a response that says itself that it has failed", _failed),
    "cut": ScriptedScenario("a connection that is closed in the middle of the response", _cut),
    "slow": ScriptedScenario("silence between events (`slow:2.5`: seconds)", _slow),
    "logprobs": ScriptedScenario("text; log probabilities come with `logprobs` in any scenario", _text),
    "every_event": ScriptedScenario("every part and event that the wire format has", _every_event),
}
