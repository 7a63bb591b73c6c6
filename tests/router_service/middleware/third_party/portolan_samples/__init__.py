"""Middleware as another package would bring it."""

from __future__ import annotations

import msgspec

from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import Text
from router_service.middleware.middleware import Answer, Needs, Next
from router_service.middleware.text import FilteredAnswer

WORD, REPLACEMENT, TOPIC = "harbour", "haven", "forbidden"


class WordFilter:
    """Replace a word, also where chunks split it: text that may be its beginning is held back."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        text = (self._held + text).replace(WORD, REPLACEMENT)
        keep = next((n for n in range(min(len(WORD) - 1, len(text)), 0, -1) if WORD.startswith(text[-n:])), 0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        held, self._held = self._held, ""
        return held


class ReplaceWord:
    name = "replace_word"
    needs: Needs = "text"

    async def __call__(self, exchange: Exchange, request: GenerationRequest, next: Next) -> Answer:
        return FilteredAnswer(await next(exchange, request), WordFilter)


class RefuseTopic:
    name = "refuse_topic"
    needs: Needs = "none"

    async def __call__(self, exchange: Exchange, request: GenerationRequest, next: Next) -> Answer:
        texts = [part.text for message in request.messages for part in message.parts if isinstance(part, Text)]
        if any(TOPIC in text for text in texts):
            raise ApiError("content_policy_violation", "This installation answers no questions on that topic")
        return await next(exchange, request)


class AskTwice:
    """Draft an answer, and ask for a better one with the draft in the history."""

    name = "ask_twice"
    needs: Needs = "events"

    async def __call__(self, exchange: Exchange, request: GenerationRequest, next: Next) -> Answer:
        draft = await next(exchange, request)
        async for _ in draft.batches():
            pass
        turns = [
            Message(role="assistant", parts=[Text(text="draft")]),
            Message(role="user", parts=[Text(text="better")]),
        ]
        return await next(exchange, msgspec.structs.replace(request, messages=[*request.messages, *turns]))
