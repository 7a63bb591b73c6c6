"""Map each wire format to its adapter. A new format needs a folder and an entry here."""

from __future__ import annotations

from data.catalogue.types import WireFormat
from router_service.providers.adapter import Adapter
from router_service.providers.anthropic_messages.adapter import AnthropicMessages
from router_service.providers.openai_chat.adapter import OpenAIChat

ADAPTERS: dict[WireFormat, Adapter] = {
    "openai_chat": OpenAIChat(),
    "anthropic_messages": AnthropicMessages(),
}
