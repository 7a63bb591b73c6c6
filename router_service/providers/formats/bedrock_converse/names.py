"""Name what the format's modules share: its dialect, the origin of its parts, and the limits of names and ids."""

from __future__ import annotations

from data.catalogue.types import Endpoint
from router_service.core.wire.anthropic import REASONING_FORMAT
from router_service.providers.formats.bedrock_converse.model_traits import converse_traits

DIALECT = "bedrock_converse"
# Source: Amazon Bedrock API reference: ToolUseBlock, ToolSpecification.
MAX_TOOL_NAME = 64
MAX_CALL_ID = 64
_CLAUDE = "/claude"


def converse_origin_at(endpoint: Endpoint) -> str:
    """Return the origin of the parts that ``endpoint`` makes. What Claude has signed is for Claude alone."""
    made_by_claude = converse_traits(endpoint.upstream_model).claude is not None
    return f"{DIALECT}/{endpoint.provider}{_CLAUDE if made_by_claude else ''}"


def converse_token_format(origin: str) -> str | None:
    """Return the reference's name of the kind of token that ``origin`` signs with, ``None`` where it has no name."""
    return REASONING_FORMAT if origin.endswith(_CLAUDE) else None
