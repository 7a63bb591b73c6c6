"""Makes the table of what a conversation loses at each provider, from what the translators send of a marked one.

Run it to write the page: ``python -m tests.router_service.conversation.dialect_losses > docs/conversation-losses.md``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources

from data.catalogue.types import Endpoint
from router_service.core.generation import GenerationRequest, Message, Tool
from router_service.core.parts import (
    AnyPart,
    CacheMark,
    Citation,
    Media,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from router_service.providers.formats import FORMATS
from router_service.providers.wire_format import Encoded
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.providers.formats.parameter_cases import endpoint_for

KEPT, OWN, LOST = "kept", "own", "–"
MODELS = {"openai": ("gpt-4.1", "gpt-5"), "moonshotai": ("kimi-k2-thinking",), "zai": ("glm-4.7",)}
# The origin of parts that another model has made, and the format of its reasoning.
FOREIGN_ORIGIN = "another_format/other/model"


def _said(*parts: AnyPart) -> list[Message]:
    return [Message(role="assistant", parts=list(parts))]


def _called(result: list[Text | Media]) -> list[Message]:
    call = ToolCall(call_id="call_1", name="f", arguments='{"a":"MARK-arguments"}')
    answered = Message(role="tool", parts=[ToolResult(call_id="call_1", content=list(result))])
    return [Message(role="assistant", parts=[call]), answered]


IMAGE = Media(kind="image", media_type="image/png", data="MARKimage")
# Each element of a conversation by its name: the turns that have it, by the origin of its parts, and its mark.
ELEMENTS: Mapping[str, tuple[Callable[[str | None], list[Message]], bytes]] = {
    "text": (lambda _: _said(Text(text="MARK-text")), b"MARK-text"),
    "citation": (
        lambda _: _said(Text(text="x", citations=[Citation(url="https://MARK-cited", title="t", cited_text="x")])),
        b"MARK-cited",
    ),
    "refusal": (lambda _: _said(Refusal(text="MARK-refusal")), b"MARK-refusal"),
    "image of the user": (lambda _: [Message(role="user", parts=[IMAGE])], b"MARKimage"),
    "image of an answer": (lambda _: _said(Text(text="x"), IMAGE), b"MARKimage"),
    "transcript of an answer in audio": (
        lambda origin: _said(Media(kind="audio", transcript="MARK-transcript", origin=origin)),
        b"MARK-transcript",
    ),
    "audio of an answer": (
        lambda origin: _said(Media(kind="audio", item_id="MARK-audio", transcript="x", origin=origin)),
        b"MARK-audio",
    ),
    "tool call": (lambda _: _called([Text(text="x")]), b"MARK-arguments"),
    "tool result": (lambda _: _called([Text(text="MARK-result")]), b"MARK-result"),
    "image of a tool": (lambda _: _called([IMAGE]), b"MARKimage"),
    "reasoning of unknown origin": (lambda _: _said(Reasoning(text="MARK-thought"), Text(text="x")), b"MARK-thought"),
    "reasoning": (
        lambda origin: _said(Reasoning(text="MARK-thought", origin=origin), Text(text="x")),
        b"MARK-thought",
    ),
    "signed reasoning": (
        lambda origin: _said(Reasoning(text="y", signature="MARK-signature", origin=origin), Text(text="x")),
        b"MARK-signature",
    ),
    "encrypted reasoning": (
        lambda origin: _said(Reasoning(encrypted="MARK-encrypted", origin=origin), Text(text="x")),
        b"MARK-encrypted",
    ),
    "name of a turn": (lambda _: [Message(role="user", name="MARK-name", parts=[Text(text="x")])], b"MARK-name"),
    "cache mark": (lambda _: [Message(role="user", parts=[Text(text="x", cache=CacheMark())])], b"cache_control"),
}

# What stands for a mark in the formats that have another name for it.
OTHER_MARKS = {b"cache_control": b"cachePoint"}


def targets() -> dict[str, Endpoint]:
    """Return an endpoint for each format and dialect, by what the table calls it."""
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["openai_chat"]
    names = ["any other", *(name for name, row in rows.items() if "like" not in row)]
    found = {}
    for name in names:
        for model in MODELS.get(name, ("model",)):
            label = f"{name}, {model}" if name in MODELS else name
            found[f"`openai_chat` {label}"] = endpoint_for("openai_chat", name, model)
    for spoken in SPOKEN.values():
        provider, models = spoken.losses or ("", ())
        for model in models:
            found[f"`{spoken.name}` {provider}, {model}"] = endpoint_for(spoken.name, provider, model)
    return found


def fate(element: str, endpoint: Endpoint) -> str:
    """Return what becomes of ``element`` at ``endpoint``: kept from all origins, from its own alone, or lost."""
    make, mark = ELEMENTS[element]
    wire = FORMATS[endpoint.wire_format]
    own = sent([], endpoint, wire.name).context.origin
    bodies = [sent(make(origin), endpoint, wire.name).request.body for origin in (own, FOREIGN_ORIGIN)]
    kept = [mark in body or OTHER_MARKS.get(mark, mark) in body for body in bodies]
    return KEPT if all(kept) else OWN if kept[0] else LOST


def sent(turns: list[Message], endpoint: Endpoint, wire_format: str) -> Encoded:
    """Return the request to ``endpoint`` for a conversation with ``turns`` in its middle."""
    request = GenerationRequest(
        messages=[
            Message(role="user", parts=[Text(text="hi")]),
            *turns,
            Message(role="user", parts=[Text(text="go on")]),
        ],
        tools=[Tool(name="f")],
        max_tokens=4000,
    )
    return FORMATS[wire_format].encode(request, endpoint, "gen-1")


def page() -> str:
    """Return the page."""
    places = targets()
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, endpoint in places.items():
        groups.setdefault(tuple(fate(element, endpoint) for element in ELEMENTS), []).append(name)
    lines = [
        "# What a conversation loses when it changes its provider",
        "",
        "This page is made from the translators (`tests/router_service/conversation/dialect_losses.py`), and a test",
        "compares them. Each column is a group of providers that get the same of a conversation, whichever format and",
        "dialect answered before. *kept*: it reaches the model, in a field of its own or as text. *own*: what the same",
        "provider has made goes back to it alone (for `openai_chat` and `cohere`, the same model too); what Claude has",
        "signed goes to Claude on any platform. *–*: it is left out. Reasoning that is left out is reported as the",
        "dropped parameter `reasoning`, a cache mark as `cache_control`.",
        "",
        "| group | format and dialect |",
        "|---|---|",
    ]
    for number, names in enumerate(groups.values(), 1):
        lines.append(f"| {number} | {'; '.join(names)} |")
    numbers = [str(number) for number in range(1, len(groups) + 1)]
    lines += ["", f"| of a conversation | {' | '.join(numbers)} |", "|---" * (len(groups) + 1) + "|"]
    for at, element in enumerate(ELEMENTS):
        lines.append(f"| {element} | {' | '.join(fates[at] for fates in groups)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
