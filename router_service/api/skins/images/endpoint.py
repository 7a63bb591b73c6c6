"""Implement ``TaskSkin`` for images."""

from __future__ import annotations

import time
from typing import Any

from router_service.api.skins.images.parse import parse_images
from router_service.api.skins.task_body import (
    TaskEndpoint,
    note_longest_input,
    read_fields_of_task,
    usage_of_task,
    usage_or_nothing,
)
from router_service.core.exchange import Exchange
from router_service.core.images import ImagesRequest, ImagesResult
from router_service.core.outgoing_json import outgoing_json


class ImagesEndpoint(TaskEndpoint):
    """Serve ``POST /images`` and OpenAI's ``POST /images/generations``."""

    name = "images"

    def parse(self, exchange: Exchange) -> ImagesRequest:
        # As in the reference, providers without partial images answer a request for a stream at once.
        asked = parse_images(read_fields_of_task(exchange, "input_references", refuses_stream=False))
        note_longest_input(exchange, len(asked.prompt.encode()))
        return asked

    def response(self, exchange: Exchange, asked: ImagesRequest, result: ImagesResult) -> bytes:  # noqa: ARG002
        return outgoing_json(render_images(result, exchange))


def render_images(result: ImagesResult, exchange: Exchange) -> dict[str, Any]:
    """Return the body of the response. Usage has the counts by the reference's names and by OpenAI's."""
    usage = usage_or_nothing(exchange)
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    pictures = usage.image_prompt_tokens or 0
    return {
        "created": int(time.time()),
        "data": [
            {"b64_json": one.data, **({"media_type": one.media_type} if one.media_type else {})}
            for one in result.images
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "completion_tokens_details": {"image_tokens": usage.image_completion_tokens or 0},
            "input_tokens": prompt,
            "output_tokens": completion,
            "input_tokens_details": {"text_tokens": max(0, prompt - pictures), "image_tokens": pictures},
            **usage_of_task(exchange),
        },
    }
