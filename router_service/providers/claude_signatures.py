"""Tell whether a platform of Claude reads the reasoning that Claude has signed on another one.

Sources: Claude docs: Thinking encryption (a signature of the Claude API, Amazon Bedrock or Google Cloud is valid on the
others); Amazon Bedrock user guide: Preserved thinking (from Claude Fable 5.1 on, the platform leaves out a block of
another account itself).
"""

from __future__ import annotations

from router_service.core.parts import Reasoning


def is_of_kind(part: Reasoning, token_format: str | None) -> bool:
    """Return whether ``part`` has a token of the kind that a platform signs with, whichever platform made it.

    A token that was damaged on its way has the origin ``""``, and is of no kind.
    """
    return token_format is not None and part.format == token_format and part.origin != ""
