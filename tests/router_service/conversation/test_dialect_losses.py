"""Test that the table of losses is what the translators do, and that the rest of a conversation is kept by all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.router_service.conversation.dialect_losses import ELEMENTS, KEPT, fate, page, targets

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
