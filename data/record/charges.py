"""Charge usage: every meter is priced and rounded on its own, and the total is the sum of the rounded charges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from data.record.columns import Column

# Meters are named as the keys of a price sheet are.
PROMPT = "prompt"
COMPLETION = "completion"
INPUT_CACHE_READ = "input_cache_read"
INPUT_CACHE_WRITE = "input_cache_write"
INPUT_CACHE_WRITE_1H = "input_cache_write_1h"
REASONING = "internal_reasoning"
AUDIO = "audio"
AUDIO_OUTPUT = "audio_output"
IMAGE = "image_token"
IMAGE_OUTPUT = "image_output"
REQUEST = "request"
WEB_SEARCH = "web_search"
SEARCH_UNIT = "search_unit"
OUTPUT_IMAGE = "output_image"
CACHE_STORAGE = "cache_storage"
# The whole cost of an imported request, whose source does not say what each meter cost.
TOTAL = "total"


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """Record what one meter of a request costs. Encoded by position: a new field goes to the end, with a default."""

    meter: Annotated[
        str,
        Column(
            "What was counted: prompt, completion, input_cache_read, input_cache_write, input_cache_write_1h, "
            "internal_reasoning, audio, audio_output, image_token, image_output, request, web_search, search_unit, "
            "output_image, cache_storage; total for an imported request; more may follow",
            since=2,
        ),
    ]
    quantity: Annotated[
        int,
        Column(
            "Units counted: requests, searches, search units or images for the meters of these names, tokens times "
            "minutes for cache_storage, 1 for total, else tokens",
            since=2,
        ),
    ]
    nano: Annotated[int, Column("Price of the quantity, rounded half up once", "nano-USD", since=2)]


def total_nano(charges: Iterable[Charge]) -> int:
    """Return the sum of rounded charges, nano-USD."""
    return sum(one.nano for one in charges)
