"""Test what stands for a block that another dialect has no word for."""

from __future__ import annotations

from typing import Any

import pytest

from router_service.core.readable_text import readable_text

DOCUMENT = {"type": "document", "title": "Tides", "source": {"type": "text", "data": "High at noon."}}
PDF = {"type": "document", "title": "Tides", "source": {"type": "base64", "data": "JVBERi0="}}


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "server_tool_use", "id": "s", "name": "search", "input": {"q": "tide"}}, 'search({"q":"tide"})'),
        ({"name": "search", "input": {"q": "x\ud83d"}}, 'search({"q":"x\ufffd"})'),
        ({"content": [{"title": "A", "url": "https://a.example", "encrypted_content": "zz"}]}, "A\nhttps://a.example"),
        ({"content": {"stdout": "4", "stderr": " ", "return_code": 0}}, "4"),
        ({"content": {"error_code": "unavailable"}}, "unavailable"),
        (DOCUMENT, "Tides\nHigh at noon."),
        (PDF, "Tides"),
        ({"type": "unknown", "id": "x", "data": "aGVsbG8="}, None),
        ({}, None),
    ],
)
def test_a_block_has_its_readable_text(block: dict[str, Any], text: str | None) -> None:
    assert readable_text(block) == text
