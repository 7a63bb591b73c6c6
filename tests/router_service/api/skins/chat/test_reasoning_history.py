"""Tests how ``reasoning_details`` that clients send back become parts, merged or as the pieces of a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from router_service.api.skins.chat.reasoning_history import reasoning_parts
from router_service.core.origin import wrap_token
from router_service.core.parts import Opaque, Reasoning

CLAUDE, RESPONSES, GEMINI = "anthropic-claude-v1", "openai-responses-v1", "google-gemini-v1"


def text(text: str | None, index: int | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "index": index, **more}


def summary(text: str, index: int | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.summary", "summary": text, "index": index, **more}


def encrypted(data: str, index: int | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "index": index, **more}


def read(*entries: dict[str, Any], calls: set[str] = frozenset()) -> Any:  # type: ignore[assignment]
    raws = [Raw(json.dumps(entry).encode()) for entry in entries]
    return reasoning_parts(raws, calls, "messages[1].reasoning_details")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param(
            [text("a", 0, format=CLAUDE), text("b", 0), text("", 0, signature="s")],
            [Reasoning(text="ab", signature="s", format=CLAUDE)],
            id="text, text and signature of one index",
        ),
        pytest.param(
            [text("a"), text("b"), text("", signature="s")],
            [Reasoning(text="ab", signature="s")],
            id="no index anywhere",
        ),
        pytest.param(
            [text(None, 0, signature="s"), text("a", 0), text("b", 0)],
            [Reasoning(text="ab", signature="s")],
            id="signature before the text",
        ),
        pytest.param(
            [text("a", 0), text("x", 1), text("b", 0), text("", 1, signature="t"), text("", 0, signature="s")],
            [Reasoning(text="ab", signature="s"), Reasoning(text="x", signature="t")],
            id="indexes that interleave",
        ),
        pytest.param(
            [text("a", 0, format=CLAUDE), text("b", 0, format=GEMINI)],
            [Reasoning(text="a", format=CLAUDE), Reasoning(text="b", format=GEMINI)],
            id="one index of two formats",
        ),
        pytest.param(
            [text("a", 0, signature="s"), text("b", 0, signature="t")],
            [Reasoning(text="a", signature="s"), Reasoning(text="b", signature="t")],
            id="two complete blocks of one index",
        ),
        pytest.param(
            [text("a", 0), text("", 0, signature="s"), text("b", 0), text("", 0, signature="t")],
            [Reasoning(text="a", signature="s"), Reasoning(text="b", signature="t")],
            id="two blocks in pieces, all of one index",
        ),
        pytest.param(
            [text("a", signature="s"), text("b", signature="t")],
            [Reasoning(text="a", signature="s"), Reasoning(text="b", signature="t")],
            id="two complete blocks without index",
        ),
        pytest.param(
            [text("a", 0, format=CLAUDE, signature="s"), encrypted("AA", 0, format=CLAUDE)],
            [Reasoning(text="a", signature="s", format=CLAUDE), Reasoning(encrypted="AA", format=CLAUDE)],
            id="a readable and a redacted block of one index",
        ),
        pytest.param(
            [encrypted("AA"), encrypted("BB")],
            [Reasoning(encrypted="AA"), Reasoning(encrypted="BB")],
            id="two redacted blocks without index",
        ),
        pytest.param(
            [encrypted("AA", 3), encrypted("BB", 3), encrypted("AABB", 3)],
            [Reasoning(encrypted="AABB")],
            id="encrypted text in pieces, and repeated",
        ),
        pytest.param(
            [summary("a", 0, format=RESPONSES), summary("b", 0), encrypted("AA", 0, format=RESPONSES, id="rs_1")],
            [Reasoning(text="ab", summary=True, encrypted="AA", format=RESPONSES, item_id="rs_1")],
            id="a summary and its encrypted text",
        ),
        pytest.param(
            [encrypted("AA", id="rs_1"), summary("a", id="rs_1"), summary("b", id="rs_2")],
            [
                Reasoning(text="a", summary=True, encrypted="AA", item_id="rs_1"),
                Reasoning(text="b", summary=True, item_id="rs_2"),
            ],
            id="ids in place of indexes",
        ),
        pytest.param(
            [{"type": "reasoning.encrypted", "text": "a", "data": "AA", "index": 0, "format": RESPONSES * 3}],
            [Reasoning(text="a", encrypted="AA", format=RESPONSES)],
            id="kinds of one index joined by an SDK, and formats repeated",
        ),
        pytest.param(
            [text("a", 0, format="acme-v1"), text("", 1), {"type": "reasoning.text", "index": 2}],
            [Reasoning(text="a", format="acme-v1")],
            id="unknown formats are kept, empty entries are not",
        ),
        pytest.param(
            [text("a", 0, format="unknown", signature=wrap_token("gemini", "s"))],
            [Reasoning(text="a", signature="s", origin="gemini")],
            id="an origin inside the token",
        ),
    ],
)
def test_pieces_become_the_parts_that_they_were(entries: list[dict[str, Any]], expected: list[Reasoning]) -> None:
    found, signatures = read(*entries)
    assert found == expected
    assert signatures == {}


def test_an_entry_with_the_id_of_a_call_is_its_signature() -> None:
    """Gemini signs calls; an SDK may have joined the entry with the text of the same index."""
    found, signatures = read(
        {"type": "reasoning.encrypted", "text": "a", "data": "AA", "id": "c1", "index": 0, "format": GEMINI},
        encrypted("BB", 1, id="c2"),
        calls={"c1"},
    )
    assert found == [Reasoning(text="a", format=GEMINI), Reasoning(encrypted="BB", item_id="c2")]
    assert signatures == {"c1": "AA"}


def test_other_kinds_of_entries_are_kept_in_place() -> None:
    """They also separate texts that have no index."""
    own = {"type": "reasoning.server_tool_call", "tool_name": "s", "arguments": "{}", "result": "r"}
    [first, middle, last], _ = read(text("a"), own, text("b"))
    assert (first, last) == (Reasoning(text="a"), Reasoning(text="b"))
    assert isinstance(middle, Opaque) and json.loads(bytes(middle.raw)) == own
    # A provider of another dialect is told what was asked and found.
    assert middle.text == "s({})\nr"


def test_thousands_of_pieces_are_read_in_linear_time() -> None:
    """Neither one part in many pieces nor many parts of one index cost more than their number."""
    pieces = [text("a", 0)] * 20_000
    assert len(read(*pieces)[0]) == 1
    blocks = [text("a", 0, signature=str(number)) for number in range(20_000)]
    assert len(read(*blocks)[0]) == 20_000
