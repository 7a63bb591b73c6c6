"""Bound what the fields of a request may hold, for all client-facing APIs alike.

The bounds of values, such as the largest ``max_tokens``, are with their parsers. These here keep the work before and
after a parser small: what a client sends is walked on the event loop. A body that is smaller than all of them passes
with two comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from router_service.core.errors import ApiError
from router_service.core.json_place import largest_field

MAX_FIELDS = 256
MAX_NAME_CHARACTERS = 256
# Of a field that none of the tables below names: lists of names, numbers and flags, metadata and the like.
MAX_FIELD_BYTES = 64 * 1024
MAX_SCHEMA_FIELD_BYTES = 256 * 1024
MAX_TOOLS_BYTES = 1024 * 1024
# A tool of the shortest kind has 40 bytes, so that no field within ``MAX_FIELD_BYTES`` has more tools.
MAX_TOOLS = 2048
# Messages, parts of messages and of tool results, documents. Conversations of coding agents have some thousands.
MAX_ITEMS = 10_000
# A field of fewer bytes cannot hold more than ``MAX_ITEMS`` items: the shortest has more than 20.
UNCOUNTED_BYTES = 20 * MAX_ITEMS
# Lists within lists: messages, their parts, and the parts of a tool result.
COUNTED_LEVELS = 3
# A smaller value holds one item at most.
SMALL_VALUE_BYTES = 48
# Their only bound in bytes is that of the body.
CONTENT = frozenset(
    {
        "documents",
        "input",
        "input_references",
        "instructions",
        "messages",
        "prediction",
        "prompt",
        "query",
        "suffix",
        "system",
    }
)
TOOLS = frozenset({"functions", "tools"})
SCHEMAS = frozenset({"output_config", "output_format", "response_format", "text"})

_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST, _OBJECT = ord("["), ord("{")


def check_fields(fields: Mapping[str, msgspec.Raw], values: int) -> None:
    """Raise ``ApiError`` 400 naming the field of a body that is larger, or has more items, than its bound.

    The body has at most ``values`` values: with few of them nothing is counted again.
    """
    if len(fields) > MAX_FIELDS:
        raise ApiError("invalid_request", f"The request body has more than {MAX_FIELDS} fields; send fewer")
    for name, raw in fields.items():
        if len(name) > MAX_NAME_CHARACTERS:
            message = f"The request body has a field whose name exceeds {MAX_NAME_CHARACTERS} characters: {name[:40]!r}"
            raise ApiError("invalid_request", message)
        if len(raw) <= MAX_FIELD_BYTES:
            continue
        if name in CONTENT:
            if values > MAX_ITEMS and len(raw) > UNCOUNTED_BYTES:
                _check_items(name, raw)
            continue
        limit = MAX_FIELD_BYTES
        if name in TOOLS:
            limit = MAX_TOOLS_BYTES
        elif name in SCHEMAS:
            limit = MAX_SCHEMA_FIELD_BYTES
        if len(raw) > limit:
            message = f"{name} must have at most {limit:,} bytes of JSON; got {len(raw):,}"
            place = largest_field(bytes(raw), name)
            raise ApiError("invalid_request", message if place == name else f"{message}: send less in {place}")
        if name in TOOLS and len(_items(bytes(raw))) > MAX_TOOLS:
            raise ApiError("invalid_request", f"{name} takes at most {MAX_TOOLS:,} entries; send fewer")


def check_name(field: str, value: str) -> None:
    """Raise ``ApiError`` 400 for the name of a model that is too long to be one."""
    if len(value) > MAX_NAME_CHARACTERS:
        raise ApiError("string_too_long", f"{field} must have at most {MAX_NAME_CHARACTERS} characters")


def _check_items(name: str, raw: msgspec.Raw) -> None:
    """Raise ``ApiError`` if ``raw`` has more than ``MAX_ITEMS`` items in the lists of its first levels.

    Each level is scanned once more, which takes about a millisecond per megabyte.
    """
    left = MAX_ITEMS
    pending = [raw]
    for _ in range(COUNTED_LEVELS):
        below: list[msgspec.Raw] = []
        for value in pending:
            items = _items(value) if memoryview(value)[0] == _LIST else []
            left -= len(items)
            if left < 0:
                message = f"{name} takes at most {MAX_ITEMS:,} items, such as messages and their parts; send fewer"
                raise ApiError("invalid_request", message)
            below += [item for item in items if len(item) > SMALL_VALUE_BYTES]
        pending = [
            value
            for item in below
            for value in _values(item)
            if len(value) > SMALL_VALUE_BYTES and memoryview(value)[0] in (_LIST, _OBJECT)
        ]


def _items(raw: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return the items of a JSON list, none for anything else: its parser says what is wrong with it."""
    try:
        return _list.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def _values(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the values of a JSON object, none for anything else."""
    try:
        return list(_object.decode(raw).values()) if memoryview(raw)[0] == _OBJECT else []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
