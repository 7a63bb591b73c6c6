"""List how each wire format that serves chat is read in tests. A new format is a module here and an entry."""

from __future__ import annotations

from collections.abc import Mapping

from tests.router_service.conversation.spoken.anthropic_messages import MESSAGES
from tests.router_service.conversation.spoken.bedrock_converse import CONVERSE
from tests.router_service.conversation.spoken.cohere import COHERE_CHAT
from tests.router_service.conversation.spoken.gemini import CONTENTS
from tests.router_service.conversation.spoken.openai_chat import COMPLETIONS
from tests.router_service.conversation.spoken.openai_responses import RESPONSES_API
from tests.router_service.conversation.spoken.spoken_format import SpokenFormat

SPOKEN: Mapping[str, SpokenFormat] = {
    one.name: one for one in (COMPLETIONS, RESPONSES_API, MESSAGES, CONTENTS, COHERE_CHAT, CONVERSE)
}
