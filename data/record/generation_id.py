"""Read the router's ids, which tell the second in which a request arrived."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_ROUTERS_ID = re.compile(r"gen-(\d{9,11})-")


def arrival_of(generation_id: str) -> datetime | None:
    """Return the second (UTC) in which the request of an id arrived; ``None`` if the id does not tell."""
    found = _ROUTERS_ID.match(generation_id)
    return None if found is None else datetime.fromtimestamp(int(found[1]), UTC)
