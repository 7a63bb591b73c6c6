"""Read the format of the text that chat completions and legacy completions ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import EXPECTED, bad_field, read_field, schema_of
from router_service.core.generation import OutputFormat
from router_service.core.wire.chat import ResponseFormat

FIELD = "response_format"
_FORMAT = msgspec.json.Decoder(ResponseFormat | None)
_FORMATS = "an object with a type: text, json_object, json_schema, grammar or python"


def read_response_format(fields: Mapping[str, Raw], extras: dict[str, Any]) -> OutputFormat:
    """Return the format of the answer. A grammar, which only the chat dialect knows, is added to ``extras`` instead.

    Raises ``ApiError`` 400 naming what is wrong.
    """
    found = read_field(fields, FIELD, _FORMAT, _FORMATS)
    if found is None or found.type == "text":
        return OutputFormat()
    if found.type == "json_object":
        return OutputFormat(kind="json_object")
    if found.type in ("grammar", "python"):
        extras[FIELD] = fields[FIELD]
        return OutputFormat()
    if found.type != "json_schema":
        raise bad_field("response_format.type", f"is wrong: invalid value {found.type[:40]!r}; send {_FORMATS}")
    wanted = found.json_schema
    if wanted is None:
        raise bad_field(FIELD, f"has no json_schema; send {EXPECTED['json_schema']}")
    schema = schema_of(wanted.schema, "response_format.json_schema.schema")
    return OutputFormat(
        kind="json_schema", name=wanted.name, description=wanted.description, schema=schema, strict=wanted.strict
    )
