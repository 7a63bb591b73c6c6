"""Read the reasoning of an earlier answer back from ``reasoning_details``.

Clients send the entries merged or as the pieces of a stream. Pieces of one ``index`` belong together, as the reference
asks for; without one, neighbours of one kind do. Clients that add up the fields of deltas repeat the name of a format
as often as they got it, and join the kinds of one index to one entry.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import msgspec
from msgspec import Raw

from router_service.api.skins.chat.answer_fields import server_tool_decoder
from router_service.api.skins.field_errors import decode_field
from router_service.core.origin import unwrap_token
from router_service.core.parts import Opaque, Reasoning
from router_service.core.wire.chat import DIALECT, ReasoningDetail

FORMATS = (
    "anthropic-claude-v1", "azure-openai-responses-v1", "bedrock-openai-responses-v1", "bedrock-xai-responses-v1",
    "google-gemini-v1", "meta-responses-v1", "openai-responses-v1", "unknown", "xai-responses-v1",
)  # fmt: skip
# A block of these formats is either readable or encrypted, so entries of both kinds are never one block.
_SEPARATE = frozenset({"anthropic-claude-v1", "google-gemini-v1"})
_TEXT, _SUMMARY, _ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"
_KINDS = frozenset({_TEXT, _SUMMARY, _ENCRYPTED})
# A provider that gives several parts one index does so for parts that follow each other: more are never open.
_OPEN_PARTS = 3
_decoder = msgspec.json.Decoder(ReasoningDetail)


class _Group(msgspec.Struct):
    """Collect the entries of one part of reasoning."""

    kind: str
    format: str | None
    id: str | None
    text: str = ""
    data: str | None = None
    signature: str | None = None
    is_sealed: bool = False

    def takes(self, entry: ReasoningDetail, kind: str, form: str | None) -> bool:
        """Return whether ``entry`` continues this part."""
        if form and self.format and form != self.format:
            return False
        if entry.id and self.id and entry.id != self.id:
            return False
        if entry.signature and self.signature and entry.signature != self.signature:
            return False
        if self.is_sealed and (entry.text or entry.summary):
            return False
        if entry.index is None and (self.data is not None or entry.data is not None):
            return bool(entry.id and entry.id == self.id)
        if kind == self.kind:
            return True
        return _ENCRYPTED in (kind, self.kind) and (form or self.format) not in _SEPARATE

    def add(self, entry: ReasoningDetail, kind: str, form: str | None) -> None:
        """Add ``entry``. A signature that comes after text, or with it, ends the text."""
        self.text += (entry.text or "") + (entry.summary or "")
        if entry.data is not None and entry.data != self.data:
            self.data = (self.data or "") + entry.data
        if entry.signature:
            self.signature, self.is_sealed = entry.signature, self.is_sealed or bool(self.text)
        self.format = form or self.format
        self.id = entry.id or self.id
        if self.kind == _ENCRYPTED:
            self.kind = kind

    def part(self) -> Reasoning:
        origin, signature = unwrap_token(self.signature or "")
        data_origin, data = unwrap_token(self.data or "")
        return Reasoning(
            text=self.text,
            summary=self.kind == _SUMMARY,
            encrypted=data or None,
            signature=signature or None,
            format=None if self.format == "unknown" else self.format,
            item_id=self.id,
            origin=data_origin if origin is None else origin,
        )


def reasoning_parts(
    details: Sequence[Raw], call_ids: Set[str], where: str
) -> tuple[list[Reasoning | Opaque], dict[str, str]]:
    """Return the parts that ``details`` describe, and the signatures of tool calls by id.

    An encrypted entry whose id is one of ``call_ids`` is the signature of that call. Raises ``ApiError`` 400 naming
    the entry that is malformed.
    """
    found: list[_Group | Opaque] = []
    by_index: dict[int | None, list[_Group]] = {}
    signatures: dict[str, str] = {}
    for position, raw in enumerate(details):
        entry = decode_field(bytes(raw), _decoder, f"{where}[{position}]")
        if entry.type not in _KINDS:
            found.append(Opaque(dialect=DIALECT, raw=raw, text=_hosted_text(bytes(raw))))
            by_index.pop(None, None)
        elif entry.data is not None and entry.id in call_ids:
            signatures[entry.id or ""] = entry.data
            if entry.text or entry.summary:
                entry.data = entry.id = None
                _collect(entry, found, by_index)
        else:
            _collect(entry, found, by_index)
    parts = [one if isinstance(one, Opaque) else one.part() for one in found]
    return [one for one in parts if isinstance(one, Opaque) or one.text or one.encrypted or one.signature], signatures


def _hosted_text(raw: bytes) -> str | None:
    """Return the text that stands for a call that a provider ran, or ``None`` for another entry."""
    try:
        entry = server_tool_decoder.decode(raw)
    except msgspec.DecodeError:
        return None
    asked = f"{entry.tool_name}({entry.arguments})" if entry.arguments or not entry.result else ""
    return "\n".join(filter(None, (asked, entry.result)))


def _collect(entry: ReasoningDetail, found: list[_Group | Opaque], by_index: dict[int | None, list[_Group]]) -> None:
    kind, form = _kind(entry), _format(entry.format)
    # Without an index only the last part can go on; with one, the last parts of that index can.
    candidates = by_index.setdefault(entry.index, [])
    for group in reversed(candidates):
        if group.takes(entry, kind, form):
            group.add(entry, kind, form)
            return
    group = _Group(kind, form, entry.id)
    group.add(entry, kind, form)
    if entry.index is None:
        candidates.clear()
    candidates.append(group)
    del candidates[:-_OPEN_PARTS]
    found.append(group)


def _kind(entry: ReasoningDetail) -> str:
    """Return the kind of the content, since the entries of one index may have been joined under the last kind."""
    if entry.summary is not None:
        return _SUMMARY
    if entry.text is not None:
        return _TEXT
    return _ENCRYPTED if entry.data is not None else entry.type


def _format(name: str | None) -> str | None:
    if not name or name in FORMATS:
        return name or None
    repeated = (known for known in FORMATS if name == known * (len(name) // len(known)))
    return next(repeated, name)
