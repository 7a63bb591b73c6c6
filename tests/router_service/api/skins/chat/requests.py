"""Makes requests for tests of how they are read."""

from __future__ import annotations

import json
from typing import Any

from router_service.api.skins.chat.parse import parse_generation
from router_service.core.generation import GenerationRequest
from router_service.core.json_fields import read_fields

HELLO = {"role": "user", "content": "hello"}


def parse(**fields: Any) -> GenerationRequest:
    """Parse a body with one message, unless ``fields`` has others."""
    return parse_generation(read_fields(json.dumps({"messages": [HELLO], **fields}).encode()))
