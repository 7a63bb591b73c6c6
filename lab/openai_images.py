"""Implement the provider's side of OpenAI's images, and refuse what it refuses.

Sources, read on 2026-11-29: the ``openai`` package 3.54 (``types/image_generate_params.py``); OpenAI docs, "Image
generation", tokens by quality and size; xAI docs, "Image Generation", for an imitator whose images have a ratio.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from lab.offers import offered
from lab.openai_errors import OpenAIErrors
from lab.openai_refusals import NO_KEY, OpenAIVocabulary
from lab.shapes import Number, Object, OneOf, RequestRefused, String, check
from lab.text import CHARACTERS_OF_A_TOKEN

SIZES = ("auto", "1024x1024", "1536x1024", "1024x1536")
TOKENS = {"low": 272, "medium": 1056, "high": 4160}
_REQUEST = Object(
    {
        "model": String(),
        "prompt": String(least=1, most=32_000),
        "n": Number(whole=True, low=1, high=10),
        "size": OneOf(SIZES),
        "quality": OneOf(("auto", "low", "medium", "high")),
        "background": OneOf(("auto", "transparent", "opaque")),
        "moderation": OneOf(("auto", "low")),
        "output_format": OneOf(("png", "jpeg", "webp")),
        "output_compression": Number(whole=True, low=0, high=100),
        "user": String(),
    },
    ("prompt",),
)
RATIOS = (
    "auto", "1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "2:1", "1:2", "19.5:9", "9:19.5", "20:9", "9:20",
)  # fmt: skip
# What imitators take in place of the vendor's own fields.
_OTHERS = {
    "xai": Object(
        {
            "model": String(),
            "prompt": String(least=1),
            "n": Number(whole=True, low=1, high=10),
            "aspect_ratio": OneOf(RATIOS),
            "resolution": OneOf(("1k", "2k")),
            "response_format": OneOf(("url", "b64_json")),
            "user": String(),
        },
        ("model", "prompt"),
    )
}


class OpenAIImagesWire(OpenAIErrors):
    """Implement ``TaskWire`` for images of ``provider``. The same prompt has the same image in every run."""

    vendors = frozenset({"openai", "azure"})

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        if not headers.get("authorization") and not headers.get("api-key"):
            raise RequestRefused(NO_KEY, status=401)
        check(_OTHERS.get(self._provider, _REQUEST), body, (), OpenAIVocabulary())
        if str(body.get("model")) not in offered(self._provider, "images"):
            message = f"The model '{body.get('model')}' does not exist."
            raise RequestRefused(message, kind="image_generation_user_error", param="model", code="invalid_value")
        if body.get("background") == "transparent" and body.get("output_format") == "jpeg":
            raise RequestRefused("Transparent background is not supported for JPEG output format", param="background")

    def respond(self, body: dict[str, Any], spoiled: str | None) -> dict[str, Any]:
        count = body.get("n") or 1
        quality = body.get("quality") if body.get("quality") in TOKENS else "medium"
        prompt = max(1, len(body["prompt"]) // CHARACTERS_OF_A_TOKEN)
        written = TOKENS[str(quality)] * count
        images = [base64.b64encode(picture(f"{body['prompt']}/{place}")).decode() for place in range(count)]
        if spoiled == "missing_vector":
            images = ["not base64!" for _ in images]
        found: dict[str, Any] = {"created": 1_764_000_000, "data": [{"b64_json": one} for one in images]}
        if body.get("response_format") is not None:
            # Imitators with this field, such as xAI, do not count tokens.
            return found
        return found | {
            "output_format": body.get("output_format") or "png",
            "usage": {
                "input_tokens": prompt,
                "input_tokens_details": {"text_tokens": prompt, "image_tokens": 0},
                "output_tokens": written,
                "total_tokens": prompt + written,
            },
        }


def picture(text: str) -> bytes:
    """Return a PNG of one pixel, whose colour depends on ``text``."""
    colour = struct.pack(">I", zlib.crc32(text.encode()))[:3]
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + colour)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
