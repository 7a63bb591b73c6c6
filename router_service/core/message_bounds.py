"""Bound the values in messages between workers, which come from files and from the network."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Name = Annotated[str, Meta(max_length=500)]
