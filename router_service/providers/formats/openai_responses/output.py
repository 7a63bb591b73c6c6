"""Ask for a format of the text, for its length, and for reasoning.

Sources: OpenAI docs: Structured outputs; API reference: Create a response, text and reasoning; OpenRouter docs:
Reasoning Tokens.
"""

from __future__ import annotations

from typing import Any

from router_service.core.generation import GenerationRequest, OutputFormat
from router_service.providers.formats.openai_responses.dialect import ResponsesDialect
from router_service.providers.reasoning_effort import OFF, nearest_effort, wanted_effort
from router_service.providers.tool_names import fitted_name

_MAX_FORMAT_NAME = 64


def text_fields(request: GenerationRequest, dialect: ResponsesDialect, dropped: set[str]) -> dict[str, Any]:
    """Return the fields of ``text``, none for plain text of the usual length."""
    fields: dict[str, Any] = {}
    if (form := _text_format(request.output)) is not None:
        fields["format"] = form
    if request.verbosity is not None:
        if "verbosity" in dialect.absent:
            dropped.add("verbosity")
        else:
            # The dialect has fewer degrees than others.
            fields["verbosity"] = {"xhigh": "high", "max": "high"}.get(request.verbosity, request.verbosity)
    return fields


def _text_format(output: OutputFormat) -> dict[str, Any] | None:
    if output.kind == "text":
        return None
    if output.kind == "json_object" or output.schema is None:
        return {"type": "json_object"}
    form: dict[str, Any] = {
        "type": "json_schema",
        "name": fitted_name(output.name or "answer", _MAX_FORMAT_NAME, set()),
        "schema": output.schema,
        "strict": bool(output.strict),
    }
    return form | ({"description": output.description} if output.description else {})


def reasoning_fields(request: GenerationRequest, dialect: ResponsesDialect, dropped: set[str]) -> dict[str, Any]:
    """Return the fields of ``reasoning``; what cannot be said is reported, but for an effort that became the nearest.

    A summary is all of its reasoning that a model of the vendor shows, so it is asked for with reasoning.
    """
    options = request.reasoning
    if options is None:
        return {}
    if options.max_tokens is not None:
        dropped.add("reasoning.max_tokens")
    wanted = wanted_effort(options)
    if not dialect.reasons:
        if wanted not in (None, OFF):
            dropped.add("reasoning")
        if options.summary is not None:
            dropped.add("reasoning.summary")
        return {}
    fields: dict[str, Any] = {"summary": options.summary} if options.summary is not None else {}
    if wanted is None:
        return fields
    if not dialect.takes_effort:
        dropped.add("reasoning.enabled" if wanted == OFF else "reasoning")
        return fields
    effort = nearest_effort(wanted, dialect.efforts)
    if wanted == OFF != effort:
        dropped.add("reasoning.enabled")
    if effort is not None:
        fields["effort"] = effort
    if wanted != OFF and not options.exclude:
        fields.setdefault("summary", "auto")
    return fields
