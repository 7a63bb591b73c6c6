"""Translate images to and from OpenAI's ``/images/generations``, which other providers imitate.

Sources: OpenAI API reference, "Create image"; xAI docs, "Image Generation" (2026-11).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.http_request import HttpRequest, request_url
from router_service.core.images import GeneratedImage, ImagesRequest, ImagesResult
from router_service.core.usage import Usage
from router_service.providers.counts import token_count
from router_service.providers.formats.openai_chat.dialect import Dialect, dialect_at
from router_service.providers.formats.openai_chat.errors import find_error, http_error, typed_body
from router_service.providers.task_format import EncodedTask, completed, read_json, unusable

_MAGIC = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "UklGR": "image/webp", "R0lGOD": "image/gif"}
_PLAIN = ("quality", "background", "output_format", "output_compression", "seed", "user")
_encode = msgspec.json.Encoder().encode


class OpenAIImages:
    """Implement ``TaskFormat`` for images."""

    def encode(self, asked: ImagesRequest, endpoint: Endpoint) -> EncodedTask:
        if asked.references:
            raise ApiError(
                "invalid_request",
                f"input_references cannot be sent to {endpoint.provider_name}: its API for images takes a prompt "
                "alone. Leave them out, or ask a chat model that returns images",
            )
        dialect = dialect_at(endpoint)
        body: dict[str, Any] = {"model": endpoint.sent_model, "prompt": asked.prompt, "n": asked.n}
        dropped: set[str] = set()
        for name in _PLAIN:
            value = getattr(asked, name)
            if value is None:
                continue
            if name in dialect.image_absent:
                dropped.add(name)
            else:
                body[name] = value
        body |= _shape(asked, dialect, dropped)
        if dialect.image_response_format:
            body["response_format"] = "b64_json"
        body |= {name: raw for name, raw in asked.extras.items() if name not in body}
        url = request_url(endpoint.base_url, "/images/generations")
        return EncodedTask(
            HttpRequest(url, {"content-type": "application/json"}, _encode(body)), tuple(sorted(dropped))
        )

    def decode(self, body: bytes, asked: ImagesRequest) -> list[Event]:
        found = read_json(body, "images")
        if (failed := find_error(found)) is not None:
            raise typed_body(failed)
        rows = found.get("data") if isinstance(found, dict) else None
        if not isinstance(rows, list) or not rows:
            raise unusable("images", "the response has none")
        if len(rows) > asked.n:
            raise unusable("images", f"{asked.n} were asked for, and {len(rows)} came")
        named = found.get("output_format") or asked.output_format
        images = [_image(row, named if isinstance(named, str) else None) for row in rows]
        return completed(ImagesResult(images), found, _usage(found.get("usage"), len(images)))

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)


def _shape(asked: ImagesRequest, dialect: Dialect, dropped: set[str]) -> dict[str, str]:
    """Return the fields for the shape of the image: a size of the provider's own, or ratio and resolution."""
    if not dialect.image_sizes:
        found: dict[str, str] = {}
        if asked.size is not None:
            found["aspect_ratio"] = _ratio_of(asked.size.width, asked.size.height)
        elif asked.aspect_ratio is not None:
            found["aspect_ratio"] = asked.aspect_ratio
        if asked.resolution in ("1K", "2K"):
            found["resolution"] = asked.resolution.lower()
        elif asked.resolution is not None:
            dropped.add("resolution")
        return found
    if asked.resolution not in (None, "1K"):
        dropped.add("resolution")
    if asked.size is not None:
        # The provider refuses sizes that it does not have, with a sentence that lists its own.
        return {"size": f"{asked.size.width}x{asked.size.height}"}
    if asked.aspect_ratio in (None, "auto"):
        return {}
    wide, high = map(float, str(asked.aspect_ratio).split(":"))
    return {"size": min(dialect.image_sizes, key=lambda size: abs(math.log(wide / high) - _log_ratio(size)))}


def _log_ratio(size: str) -> float:
    width, height = map(int, size.split("x"))
    return math.log(width / height)


def _ratio_of(width: int, height: int) -> str:
    divisor = math.gcd(width, height)
    return f"{width // divisor}:{height // divisor}"


def _image(row: Any, named: str | None) -> GeneratedImage:
    data = row.get("b64_json") if isinstance(row, dict) else None
    if not isinstance(data, str) or not data:
        raise unusable("images", "one has no data")
    media_type, comma, rest = data.partition(",")
    if comma and media_type.startswith("data:"):
        data = rest
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        raise unusable("images", "one is not valid base64") from None
    known = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if known is None and named in ("png", "jpeg", "webp", "svg"):
        known = "image/svg+xml" if named == "svg" else f"image/{named}"
    return GeneratedImage(data, known)


def _usage(found: Any, images: int) -> Usage:
    """Return the tokens that the provider counts, and the number of images, which it sent."""
    usage = Usage(0, 0, images=images)
    if not isinstance(found, dict):
        return usage
    usage.prompt_tokens = token_count(found.get("input_tokens")) or token_count(found.get("prompt_tokens")) or 0
    usage.completion_tokens = (
        token_count(found.get("output_tokens")) or token_count(found.get("completion_tokens")) or 0
    )
    details = found.get("input_tokens_details")
    usage.image_prompt_tokens = token_count(details.get("image_tokens")) if isinstance(details, dict) else None
    written = found.get("output_tokens_details")
    counted = token_count(written.get("image_tokens")) if isinstance(written, dict) else None
    usage.image_completion_tokens = usage.completion_tokens if counted is None else counted
    return usage
