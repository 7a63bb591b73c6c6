"""Name the events by which OpenAI tells how far an item is that it makes itself.

Source: OpenAI API reference: Responses, streaming events; the event types of the ``openai`` package 3.54
(``types/responses``), read on 2026-11-30.
"""

from __future__ import annotations

_STEPS: dict[str, dict[str, tuple[str, ...]]] = {
    "web_search_call": {"web_search_call": ("in_progress", "searching", "completed")},
    "file_search_call": {"file_search_call": ("in_progress", "searching", "completed")},
    "image_generation_call": {"image_generation_call": ("in_progress", "generating", "partial_image", "completed")},
    "code_interpreter_call": {
        "code_interpreter_call": ("in_progress", "interpreting", "completed"),
        "code_interpreter_call_code": ("delta", "done"),
    },
    "mcp_call": {"mcp_call": ("in_progress", "completed", "failed"), "mcp_call_arguments": ("delta", "done")},
    "mcp_list_tools": {"mcp_list_tools": ("in_progress", "completed", "failed")},
}
# The type of item by the type of event.
PROGRESS = {
    f"response.{stem}.{step}": item for item, stems in _STEPS.items() for stem, steps in stems.items() for step in steps
}
# Fields that say which item an event belongs to, and which event it is: every client API writes its own.
PLACES = frozenset({"type", "item_id", "output_index", "sequence_number", "obfuscation"})
