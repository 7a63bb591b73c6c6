"""List the wire formats by name. A new format is a folder here and an entry."""

from __future__ import annotations

from collections.abc import Mapping

from router_service.providers.formats.anthropic_messages.format import AnthropicMessagesFormat
from router_service.providers.formats.openai_chat.format import OpenAIChatFormat
from router_service.providers.wire_format import WireFormat

FORMATS: Mapping[str, WireFormat] = {
    "openai_chat": OpenAIChatFormat(),
    "anthropic_messages": AnthropicMessagesFormat(),
}
