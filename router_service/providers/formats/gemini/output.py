"""Ask for a format of the text, and for kinds of output besides text.

Source: Gemini API docs: Structured output, Image generation.
"""

from __future__ import annotations

from typing import Any

from router_service.core.errors import ApiError
from router_service.core.generation import OutputFormat
from router_service.providers.formats.gemini.json_schema import reduced_schema
from router_service.providers.formats.gemini.model_traits import GeminiTraits
from router_service.providers.json_instruction import json_instruction
from router_service.providers.tool_schemas import decode_schema

JSON_TYPE = "application/json"
_ASPECTS = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}


def format_fields(output: OutputFormat, dropped: set[str]) -> dict[str, Any]:
    """Return the fields of ``generationConfig`` for the format. Raises ``ApiError`` 400 for a malformed schema."""
    if output.kind == "text":
        return {}
    if output.kind == "json_object" or output.schema is None:
        return {"responseMimeType": JSON_TYPE}
    schema, lost = reduced_schema(decode_schema(output.schema, "response_format"))
    if lost:
        dropped.add("response_format.schema")
    if output.description:
        schema.setdefault("description", output.description)
    return {"responseMimeType": JSON_TYPE, "responseJsonSchema": schema}


def format_instruction(output: OutputFormat) -> str:
    """Return the words that ask for JSON where functions and JSON exclude each other."""
    if output.kind == "json_object" or output.schema is None:
        return json_instruction(None)
    return json_instruction(decode_schema(output.schema, "response_format"))


def modality_fields(modalities: list[str] | None, traits: GeminiTraits, dropped: set[str]) -> dict[str, Any]:
    """Return ``responseModalities``. Raises ``ApiError`` 400 where nothing is left that the model makes."""
    if not modalities:
        return {}
    makes = {"text": not traits.speech, "image": traits.images, "audio": traits.speech}
    kept = [name for name in dict.fromkeys(modalities) if makes.get(name)]
    if len(kept) < len(set(modalities)):
        dropped.add("modalities")
    if not kept:
        raise ApiError(
            "invalid_request", f"This model does not make {' or '.join(modalities)}; change modalities or leave it out"
        )
    # Text alone is what a model makes anyway, but for those that make images.
    return {"responseModalities": [name.upper() for name in kept]} if kept != ["text"] or traits.images else {}


def image_fields(config: Any, traits: GeminiTraits, dropped: set[str]) -> dict[str, Any]:
    """Return ``imageConfig`` for the chat dialect's ``image_config``. Raises ``ApiError`` 400 for what is no object."""
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise ApiError("invalid_request", "image_config must be an object such as {'aspect_ratio': '16:9'}")
    asked = {name: value for name, value in config.items() if value is not None}
    found = {_ASPECTS[name]: value for name, value in asked.items() if name in _ASPECTS}
    if asked and (not traits.images or len(found) < len(asked)):
        dropped.add("image_config")
    return {"imageConfig": found} if found and traits.images else {}
