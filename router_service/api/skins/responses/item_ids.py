"""Give ids to the items of an answer, and carry in them what a part needs to return to its origin."""

from __future__ import annotations

import re

from router_service.core.origin import PREFIX, OriginToken, read_token

# An id that the router made says nothing to a provider.
_MARK = f"_{PREFIX}"


def response_id(generation_id: str) -> str:
    """Return the id of the response of a generation: ``gen-1-ab`` is ``resp_1_ab``."""
    return "resp_" + _suffix(generation_id)


def made_id(kind: str, generation_id: str, index: int) -> str:
    """Return the id of item ``index`` of an answer; ``kind`` is a prefix such as ``msg``."""
    return f"{kind}_{_suffix(generation_id)}_{index}"


def item_id_of(kind: str, item_id: str | None, origin: str | None, fallback: str) -> str:
    """Return the id of an item: a token with the provider's own id and its origin, or ``fallback`` without both.

    The token stands behind the prefix of its kind, which some clients look at.
    """
    if item_id is None or origin is None:
        return fallback
    return f"{kind}_{OriginToken(origin, item_id=item_id).write()}"


def read_item_id(item_id: str | None) -> tuple[str | None, str | None]:
    """Return the provider's own id and its origin, ``None`` for both where the id carries neither."""
    if item_id is None:
        return None, None
    _, mark, token = item_id.partition(_MARK)
    found = read_token(PREFIX + token) if mark else None
    return (None, None) if found is None else (found.item_id, found.origin)


_VALID_CALL_ID = re.compile(r"\S+")


def unique_call_id(call_id: str, generation_id: str, index: int, taken: set[str]) -> str:
    """Return an id for a call that no other of the answer has, and take it: clients pair results by it."""
    wanted = call_id if _VALID_CALL_ID.fullmatch(call_id) else made_id("call", generation_id, index)
    found = wanted if wanted not in taken else f"{wanted}_{index}"
    taken.add(found)
    return found


def _suffix(generation_id: str) -> str:
    return generation_id.removeprefix("gen-").replace("-", "_")
