"""Make the scripts of a response, if the request needs more than one block of text or one call."""

from __future__ import annotations

import random

from lab.conversation import Conversation
from lab.scenarios import ScenarioError, ScenarioFailure, finish, play
from lab.script import Called, Script, drawn_script
from lab.shapes import RequestRefused
from lab.text import Ask, Completion, complete
from lab.wire import Wire


def make_scripts(
    wire: Wire, conversation: Conversation, ask: Ask, completion: Completion, dice: random.Random
) -> tuple[Script, ...]:
    """Return a script for each choice, or none if ``completion`` says all that the request asks for.

    Raises ``RequestRefused`` if the scenario does not suit the request, or is one that fails.
    """
    spoiled = completion.garbled or completion.ending
    plain = conversation.choices == 1 and not conversation.logprobs and not conversation.thinks
    custom = any(tool.custom and tool.name == completion.tool for tool in conversation.tools)
    if spoiled or (conversation.scenario is None and plain and not custom):
        return ()
    scripts = []
    for choice in range(conversation.choices):
        if conversation.scenario is None:
            drawn = complete(ask, dice) if choice else completion
            scripts.append(finish(_drawn(drawn, conversation), conversation, dice))
        else:
            scripts.append(_played(wire, conversation, dice))
    return tuple(scripts)


def _played(wire: Wire, conversation: Conversation, dice: random.Random) -> Script:
    try:
        script = play(conversation, dice)
    except ScenarioFailure as failure:
        raise wire.failure(failure.status) from None
    except ScenarioError as error:
        raise RequestRefused(str(error)) from None
    unsaid = wire.unsaid(script)
    if script.runs_tool and not wire.runs_tools:
        unsaid = f"a call of {script.runs_tool}"
    if unsaid:
        message = f"The scenario {conversation.scenario!r} shows {unsaid}, which this wire format does not have."
        raise RequestRefused(message)
    return script


def _drawn(completion: Completion, conversation: Conversation) -> Script:
    """Return what the model drew, as a script."""
    if any(tool.custom and tool.name == completion.tool for tool in conversation.tools):
        return Script((Called(completion.number, completion.tool or "", "Genoa", custom=True),), "tools")
    return drawn_script(completion, {})
