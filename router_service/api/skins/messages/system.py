"""Read the ``system`` field, and keep Claude Code's billing line out of other providers' prompts."""

from __future__ import annotations

import re

import msgspec

from router_service.api.skins.messages.blocks import read_block
from router_service.api.skins.messages.checked_json import decode_at, invalid
from router_service.core.parts import AnyPart, Opaque, Text
from router_service.core.wire.anthropic import DIALECT

_SYSTEM = msgspec.json.Decoder(str | list[msgspec.Raw] | None)
# Claude Code puts such a line at the beginning of its system prompt. A hash in it changes with each request, so
# providers that cache prompts by their beginning would never find one again; Anthropic takes the line out.
# Source: https://github.com/anthropics/claude-code/issues/68900.
_BILLING = re.compile(r"x-anthropic-billing-header:[^\n]*\n*")


def read_system(raw: msgspec.Raw) -> list[AnyPart]:
    """Return the parts of the system prompt. Raises ``ApiError`` 400 that names the wrong field.

    The billing line is ``Opaque`` without a text, which goes to Anthropic's dialect alone.
    """
    found = decode_at(raw, _SYSTEM, "system")
    if found is None or isinstance(found, str):
        return _without_billing(Text(text=found)) if found else []
    parts: list[AnyPart] = []
    for index, one in enumerate(found):
        path = f"system.{index}"
        part = read_block(one, path)
        if not isinstance(part, Text | Opaque):
            raise invalid(f"{path}.type", "the system prompt may contain text blocks")
        parts += _without_billing(part) if isinstance(part, Text) else [part]
    return parts


def _without_billing(part: Text) -> list[AnyPart]:
    line = _BILLING.match(part.text)
    if line is None:
        return [part]
    rest = part.text[line.end() :]
    raw = msgspec.json.encode({"type": "text", "text": part.text if not rest else line[0].rstrip("\n")})
    billing = Opaque(dialect=DIALECT, raw=msgspec.Raw(raw), cache=part.cache if not rest else None)
    return [billing, msgspec.structs.replace(part, text=rest)] if rest else [billing]
