"""Name what the format's modules share: its dialect, the origin of its parts, and ids and names that it accepts."""

from __future__ import annotations

from data.catalogue.types import Endpoint

DIALECT = "openai_responses"
# Longest names that the vendor takes. Source: OpenAI API reference, Create a response; "string too long. Expected a
# string with maximum length 64", in issues of openai-agents-python and vercel/ai.
MAX_TOOL_NAME = 64
MAX_CALL_ID = 64


def responses_origin_at(endpoint: Endpoint) -> str:
    """Return the origin of the parts that ``endpoint`` makes."""
    return f"{DIALECT}/{endpoint.provider}"


def comes_from(origin: str, endpoint: Endpoint) -> bool:
    """Return whether ``endpoint`` accepts the ids and the encrypted reasoning of ``origin``."""
    own = responses_origin_at(endpoint)
    return origin == own or origin.startswith(f"{own}/")
