"""Ask for reasoning in the fields of each family of models.

Sources: Claude docs: Extended thinking on Amazon Bedrock; Amazon Nova 2 user guide: Extended thinking
(``reasoningConfig``; a high effort takes neither a limit of tokens nor sampling); OpenAI gpt-oss at Amazon Bedrock
(``reasoning_effort``).
"""

from __future__ import annotations

from typing import Any

from router_service.core.generation import ReasoningOptions
from router_service.providers.formats.bedrock_converse.model_traits import LEVELS, ConverseTraits
from router_service.providers.reasoning_effort import OFF, nearest_effort, wanted_effort

NOVA_HIGH = "high"


def level_fields(options: ReasoningOptions | None, traits: ConverseTraits, dropped: set[str]) -> dict[str, Any]:
    """Return the model's own fields for the effort of a model that has levels, none for any other.

    What cannot be said is reported, but for an effort that is the nearest.
    """
    if options is None:
        return {}
    wanted = wanted_effort(options)
    if options.max_tokens is not None:
        dropped.add("reasoning.max_tokens")
    if traits.reasoning == "none":
        if wanted not in (None, OFF):
            dropped.add("reasoning")
        if options.summary is not None:
            dropped.add("reasoning.summary")
        return {}
    if wanted is None:
        return {}
    if traits.reasoning == "nova":
        if wanted == OFF:
            return {"reasoningConfig": {"type": "disabled"}}
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": nearest_effort(wanted, LEVELS)}}
    if wanted == OFF:
        dropped.add("reasoning.enabled")
        return {}
    return {"reasoning_effort": nearest_effort(wanted, LEVELS)}


def is_nova_high(fields: dict[str, Any]) -> bool:
    """Return whether ``fields`` ask Nova for its highest effort, which excludes limits and sampling."""
    config = fields.get("reasoningConfig")
    return isinstance(config, dict) and config.get("maxReasoningEffort") == NOVA_HIGH
