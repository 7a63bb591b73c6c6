"""Define a request for generated images and its result."""

from __future__ import annotations

from typing import Literal

import msgspec

from router_service.core.parts import Media

Quality = Literal["auto", "low", "medium", "high"]
Background = Literal["auto", "transparent", "opaque"]
ImageFormat = Literal["png", "jpeg", "webp", "svg"]
Resolution = Literal["512", "1K", "2K", "4K"]


class ImageSize(msgspec.Struct, frozen=True):
    """Hold width and height in pixels."""

    width: int
    height: int


class ImagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for at most ``n`` images of ``prompt``.

    ``size`` is exact. ``aspect_ratio``, such as ``16:9``, and ``resolution`` are fitted to what a provider has.
    ``None`` leaves either to it. ``references`` guide the image. ``extras`` are top-level fields that the middle does
    not know, as JSON.
    """

    prompt: str
    n: int = 1
    size: ImageSize | None = None
    aspect_ratio: str | None = None
    resolution: Resolution | None = None
    quality: Quality | None = None
    background: Background | None = None
    output_format: ImageFormat | None = None
    output_compression: int | None = None
    seed: int | None = None
    references: list[Media] = []
    user: str | None = None
    extras: dict[str, msgspec.Raw] = {}


class GeneratedImage(msgspec.Struct, frozen=True):
    """Hold an image as base64, with its media type where it is known."""

    data: str
    media_type: str | None = None


class ImagesResult(msgspec.Struct, frozen=True):
    """Hold the images, at least one."""

    images: list[GeneratedImage]
