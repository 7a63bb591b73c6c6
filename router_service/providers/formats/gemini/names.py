"""Name what the format's modules share: its dialect, the origin of its parts, and names that it accepts."""

from __future__ import annotations

import re
from hashlib import blake2b

from data.catalogue.types import Endpoint
from router_service.providers.tool_names import ToolNames

DIALECT = "gemini"
# The longest name of a function. Source: Gemini API reference, FunctionDeclaration.
MAX_TOOL_NAME = 64
# Stands for the signature of a call that another model has made. Source: Gemini API docs: Thought signatures, FAQ.
DUMMY_SIGNATURE = "skip_thought_signature_validator"
_MEDIUM_ID = re.compile(r"medium-(\d{1,4})")
# Ids that the router makes for calls that came without one. They tell no other provider the id of the generation.
_MADE_ID = re.compile(r"call_[0-9a-f]{16}_\d+")


def made_call_id(generation_id: str, number: int) -> str:
    """Return the id of the ``number``-th call of an answer, which the vendor has not named."""
    return f"call_{blake2b(generation_id.encode(), digest_size=8).hexdigest()}_{number}"


def is_native_id(call_id: str) -> bool:
    """Return whether the vendor may have named a call itself."""
    return bool(call_id) and _MADE_ID.fullmatch(call_id) is None


def medium_id(number: int) -> str:
    """Return the id of the signature of the ``number``-th medium of an answer, by which it finds it again."""
    return f"medium-{number}"


def medium_number(item_id: str | None) -> int | None:
    """Return the number of the medium that a signature with ``item_id`` belongs to, ``None`` for any other."""
    found = _MEDIUM_ID.fullmatch(item_id or "")
    return int(found[1]) if found else None


def gemini_origin_at(endpoint: Endpoint) -> str:
    """Return the origin of the parts that ``endpoint`` makes."""
    return f"{DIALECT}/{endpoint.provider}"


def is_made_at(origin: str, endpoint: Endpoint) -> bool:
    """Return whether ``endpoint`` accepts the signatures and the ids of ``origin``."""
    own = gemini_origin_at(endpoint)
    return origin == own or origin.startswith(f"{own}/")


class FunctionNames(ToolNames):
    """Fit the names of functions, which begin with a letter or an underscore."""

    def unused(self, name: str) -> str:
        """Return a name like ``name`` that no function has, and take it."""
        return super().unused(name if name[:1].isalpha() or name[:1] == "_" else f"_{name}")
