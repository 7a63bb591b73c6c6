"""Write the items of tools that OpenAI runs itself, and the events that tell how far they are.

Sources: the item and event types of the ``openai`` package 3.54 (``types/responses``); OpenAI API reference: Responses,
streaming events, read on 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Item = dict[str, Any]
Event = dict[str, Any]
# A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
CODE = "depth = 7\nprint(depth)"
ARGUMENTS = '{"place":"Genoa"}'
# By the name that the scenario takes: the type and the prefix of the id of the item, and what it has.
HOSTED_ITEMS: dict[str, tuple[str, str, Item]] = {
    "file_search": ("file_search_call", "fs", {"status": "completed", "queries": ["tide tables"], "results": None}),
    "image_generation": (
        "image_generation_call",
        "ig",
        {"status": "completed", "result": PIXEL, "output_format": "png", "size": "1024x1024", "quality": "low"},
    ),
    "code_interpreter": (
        "code_interpreter_call",
        "ci",
        {"status": "completed", "code": CODE, "container_id": "cntr_1", "outputs": None},
    ),
    "mcp": (
        "mcp_call",
        "mcp",
        {
            "status": "completed", "server_label": "harbour", "name": "find_port", "arguments": ARGUMENTS,
            "output": "Genoa has been found", "error": None, "approval_request_id": None,
        },
    ),
    "mcp_list_tools": (
        "mcp_list_tools",
        "mcpl",
        {
            "server_label": "harbour", "error": None,
            "tools": [{"name": "find_port", "input_schema": {"type": "object"}, "annotations": None}],
        },
    ),
}  # fmt: skip
# What an item has before it is complete, by its type.
_BEGUN: dict[str, Item] = {
    "image_generation_call": {"result": None},
    "code_interpreter_call": {"code": ""},
    "mcp_call": {"arguments": "", "output": None},
    "mcp_list_tools": {"tools": []},
}


def begun_item(item: Item) -> Item:
    """Return ``item`` as it begins."""
    status = {"status": "in_progress"} if "status" in item else {}
    return item | _BEGUN.get(item["type"], {}) | status


def progress_events(item: Item) -> Iterator[Event]:
    """Yield the events between the beginning and the end of ``item``, without the fields that name it."""
    kind = item["type"]
    stem = f"response.{kind}"
    yield {"type": f"{stem}.in_progress"}
    if kind in ("web_search_call", "file_search_call"):
        yield {"type": f"{stem}.searching"}
    elif kind == "image_generation_call":
        yield {"type": f"{stem}.generating"}
        yield {"type": f"{stem}.partial_image", "partial_image_index": 0, "partial_image_b64": item["result"]}
    elif kind == "code_interpreter_call":
        yield from _pieces(f"{stem}_code", "code", item["code"])
        yield {"type": f"{stem}.interpreting"}
    elif kind == "mcp_call":
        yield from _pieces(f"{stem}_arguments", "arguments", item["arguments"])
    yield {"type": f"{stem}.completed"}


def _pieces(stem: str, field: str, text: str) -> Iterator[Event]:
    half = len(text) // 2
    for piece in (text[:half], text[half:]):
        yield {"type": f"{stem}.delta", "delta": piece, "obfuscation": "portolan"}
    yield {"type": f"{stem}.done", field: text}
