"""Translate the body of an images request to the canonical one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Raw

from router_service.api.skins.chat_content import image_part
from router_service.api.skins.field_errors import bad_field, read_field
from router_service.api.skins.task_body import extras_of, read_user
from router_service.core.images import Background, ImageFormat, ImageSize, ImagesRequest, Quality, Resolution
from router_service.core.wire.chat import ImagePart

# Limits of the reference.
MAX_IMAGES, MAX_REFERENCES = 10, 16
MAX_PIXELS = 16_384
ASPECT_RATIOS = (
    "1:1", "1:2", "1:4", "1:8", "2:1", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16", "16:9",
    "9:19.5", "19.5:9", "9:20", "20:9", "9:21", "21:9", "auto",
)  # fmt: skip
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_TEXT = msgspec.json.Decoder(str | None)
_SHORT = msgspec.json.Decoder(Annotated[str, Meta(max_length=1024)] | None)
_COUNT = msgspec.json.Decoder(Annotated[int, Meta(ge=1, le=MAX_IMAGES)] | None)
_COMPRESSION = msgspec.json.Decoder(Annotated[int, Meta(ge=0, le=100)] | None)
_SEED = msgspec.json.Decoder(Annotated[int, Meta(ge=-(2**53), le=2**53)] | None)
_REFERENCES = msgspec.json.Decoder(Annotated[list[ImagePart], Meta(max_length=MAX_REFERENCES)] | None)
_QUALITY = msgspec.json.Decoder(Quality | None)
_BACKGROUND = msgspec.json.Decoder(Background | None)
_FORMAT = msgspec.json.Decoder(ImageFormat | None)
_RESOLUTION = msgspec.json.Decoder(Resolution | None)
_RESPONSE = msgspec.json.Decoder(Literal["b64_json", "url"] | None)
_READ = frozenset(
    {
        "aspect_ratio", "background", "input_references", "n", "output_compression", "output_format", "prompt",
        "quality", "resolution", "response_format", "seed", "size", "user",
    }
)  # fmt: skip


def parse_images(fields: Mapping[str, Raw]) -> ImagesRequest:
    """Translate the top-level ``fields`` of a body. Raises ``ApiError`` 400 naming what to change."""
    prompt = read_field(fields, "prompt", _TEXT, "a text that describes the image")
    if not prompt:
        raise bad_field("prompt", "is missing or empty; send a text that describes the image")
    if read_field(fields, "response_format", _RESPONSE, "'b64_json'") == "url":
        raise bad_field("response_format", "cannot be url: the router keeps no images; send b64_json, or leave it out")
    references = read_field(
        fields, "input_references", _REFERENCES, f"an array of at most {MAX_REFERENCES} image parts"
    )
    return ImagesRequest(
        prompt=prompt,
        n=read_field(fields, "n", _COUNT, f"a whole number from 1 to {MAX_IMAGES}") or 1,
        **_shape(fields),
        quality=read_field(fields, "quality", _QUALITY, "one of auto, low, medium and high"),
        background=read_field(fields, "background", _BACKGROUND, "one of auto, transparent and opaque"),
        output_format=read_field(fields, "output_format", _FORMAT, "one of png, jpeg, webp and svg"),
        output_compression=read_field(fields, "output_compression", _COMPRESSION, "a whole number from 0 to 100"),
        seed=read_field(fields, "seed", _SEED, "a whole number"),
        references=[image_part(part.image_url) for part in references or ()],
        user=read_user(fields),
        extras=extras_of(fields, _READ),
    )


def _shape(fields: Mapping[str, Raw]) -> dict[str, Any]:
    """Return size, aspect ratio and resolution; a size that is a tier is a resolution."""
    ratio = read_field(fields, "aspect_ratio", _SHORT, "a ratio such as '16:9'")
    if ratio is not None and ratio not in ASPECT_RATIOS:
        raise bad_field("aspect_ratio", f"must be one of {', '.join(ASPECT_RATIOS)}; got {ratio[:20]!r}")
    resolution = read_field(fields, "resolution", _RESOLUTION, "one of 512, 1K, 2K and 4K")
    text = read_field(fields, "size", _SHORT, "a size such as '1024x1024', or one of 512, 1K, 2K and 4K")
    if text is None or text == "auto":
        return {"aspect_ratio": ratio, "resolution": resolution}
    if text in RESOLUTIONS:
        if resolution not in (None, text):
            raise bad_field("size", f"is {text}, but resolution is {resolution}; send one of them")
        return {"aspect_ratio": ratio, "resolution": text}
    found = _SIZE.fullmatch(text)
    size = ImageSize(int(found[1]), int(found[2])) if found else None
    if size is None or not (0 < size.width <= MAX_PIXELS and 0 < size.height <= MAX_PIXELS):
        raise bad_field("size", f"must be pixels such as '1024x1024', or one of 512, 1K, 2K and 4K; got {text[:20]!r}")
    if resolution is not None:
        raise bad_field("resolution", "cannot be sent beside a size in pixels; leave one of them out")
    if ratio not in (None, "auto"):
        wide, high = map(float, str(ratio).split(":"))
        if size.width * high != size.height * wide:
            raise bad_field("aspect_ratio", f"is {ratio}, which a size of {text} does not have; leave one of them out")
    return {"size": size}
