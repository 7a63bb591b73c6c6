"""Test that the table of losses is what the translators do, and that the rest of a conversation is kept by all."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_service.core.generation import Message
from router_service.core.parts import ToolCall
from tests.router_service.conversation.dialect_losses import (
    ELEMENTS,
    FOREIGN_ORIGIN,
    KEPT,
    fate,
    page,
    sent,
    targets,
)

PAGE = Path(__file__).parents[3] / "docs" / "conversation-losses.md"
# Without these a conversation cannot go on.
ESSENTIAL = ("text", "refusal", "image of the user", "tool call", "tool result", "image of a tool")


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python -m tests.router_service.conversation.dialect_losses > docs/conversation-losses.md"
    )


@pytest.mark.parametrize("element", ESSENTIAL)
def test_what_a_conversation_needs_reaches_every_provider(element: str) -> None:
    assert element in ELEMENTS
    assert {name for name, endpoint in targets().items() if fate(element, endpoint) != KEPT} == set()


@pytest.mark.parametrize("name", targets())
def test_a_signature_that_is_left_out_is_reported(name: str) -> None:
    """The signature of a call is reasoning that its provider alone can read."""
    endpoint = targets()[name]
    call = ToolCall(call_id="call_1", name="f", arguments="{}", signature="MARK-signature", origin=FOREIGN_ORIGIN)
    encoded = sent([Message(role="assistant", parts=[call])], endpoint, endpoint.wire_format)
    assert b"MARK-signature" not in encoded.request.body
    assert "reasoning" in encoded.dropped
