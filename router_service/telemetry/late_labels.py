"""Add labels to records that were written before their labels came.

The labels follow as a frame of their own, which the sealer merges into the record of the same segment. A record is the
MessagePack map of its fields, labels are an array, so that one byte tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data.record.prompt_labels import PromptLabels
from data.record.record import Record

# The high half of the first byte of a MessagePack array of up to 15 items.
_ARRAY = 0x90


class _LateLabels(msgspec.Struct, array_like=True):
    generation_id: str
    labels: PromptLabels


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_LateLabels).decode


def encode_late_labels(generation_id: str, labels: PromptLabels) -> bytes:
    """Return the payload of a frame that gives the record of ``generation_id`` its labels."""
    return _encode(_LateLabels(generation_id, labels))


def holds_late_labels(payload: bytes | memoryview) -> bool:
    """Return whether a payload is an array, as late labels are and records are not."""
    return payload[0] & 0xF0 == _ARRAY


def split_late_labels(payloads: Sequence[bytes]) -> tuple[list[bytes], dict[str, PromptLabels]]:
    """Return the payloads that are not late labels, and the labels by the generation id of their record."""
    others: list[bytes] = []
    labels: dict[str, PromptLabels] = {}
    for payload in payloads:
        if holds_late_labels(payload):
            try:
                late = _decode(payload)
            except (msgspec.DecodeError, ValueError):
                others.append(payload)
            else:
                labels[late.generation_id] = late.labels
        else:
            others.append(payload)
    return others, labels


def set_labels(record: Record, labels: PromptLabels) -> None:
    """Write ``labels`` into ``record``."""
    record.category, record.category_confidence = labels.category, labels.category_confidence
    record.category_version = labels.version
    record.task_tag, record.task_tag_confidence = labels.task_tag, labels.task_tag_confidence
    record.natural_language = labels.natural_language
    record.natural_language_confidence = labels.natural_language_confidence
    record.programming_language = labels.programming_language
