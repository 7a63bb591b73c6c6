"""Say in a route's declaration what its response is, and whether it needs a key."""

from __future__ import annotations

from typing import Any

import msgspec

# Either carries a key.
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `portolan keys create`"},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, as Anthropic sends",
    },
}
REFERENCE = "#/components/schemas/{name}"


class ResponseSchema(msgspec.Struct, forbid_unknown_fields=True):
    """Describe an object in a response, which has no other fields."""


def reference(schema: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a JSON schema that refers to that of ``schema``."""
    return {"$ref": REFERENCE.format(name=schema.__name__)}


def json_content(schema: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the ``content`` of a JSON body."""
    return {"application/json": {"schema": reference(schema)}}


def responds(schema: type[msgspec.Struct], *, keyed: bool = False, **extra: Any) -> dict[str, Any]:
    """Return the arguments of a FastAPI route that responds with ``schema``; ``extra`` are fields of its operation."""
    description = (schema.__doc__ or "").partition("\n")[0].removeprefix("Describe ")
    return {
        "responses": {200: {"description": description[:1].upper() + description[1:], "content": json_content(schema)}},
        "openapi_extra": extra | ({"security": SECURITY} if keyed else {}),
    }
