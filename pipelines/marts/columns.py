"""Name the dimensions and measures that several marts share."""

from __future__ import annotations

from data.marts import USER_DIGITS
from pipelines.marts.declaration import Dimension, Measure

MODEL = Dimension("model", "Canonical model that served, else the first one tried")
AUTHOR = Dimension("author", "Author part of the model")
PROVIDER = Dimension("provider", "Provider that served; null where none did")
APP = Dimension("app", "HTTP-Referer header, which identifies the client's app")
KEY = Dimension("key_hash", "SHA-256 of the API key")
USER = Dimension(
    "user_hash",
    f"First {USER_DIGITS} digits of the keyed hash of the body's user; null where it names none",
    digits=USER_DIGITS,
)
MODALITY = Dimension("modality", "First kind of medium in the messages")
CATEGORY = Dimension("category", "One of the twelve categories")
NATURAL_LANGUAGE = Dimension("natural_language", "Language of the prompt's prose, ISO 639-1")
OFFERS_TOOLS = Dimension("offers_tools", "Whether the request offers tools", "BOOLEAN")
FINISH = Dimension("finish_reason", "Normalised finish reason; null for a response without one")
ERROR = Dimension("error_type", "Typed error code; null on success")
REQUESTS = Measure("requests", "Requests", "requests")
TOKENS = Measure("tokens", "Prompt and completion tokens", "tokens")
PROMPT_TOKENS = Measure("prompt_tokens", "Prompt tokens, cached ones included", "tokens")
COMPLETION_TOKENS = Measure("completion_tokens", "Completion tokens, reasoning included", "tokens")
CACHED_TOKENS = Measure("cached_tokens", "Prompt tokens that the provider read from its cache", "tokens")
REASONING_TOKENS = Measure("reasoning_tokens", "Reasoning tokens", "tokens")
COST = Measure("cost_nano", "Cost to the client", "nano-USD")
USAGE = (
    REQUESTS,
    Measure("succeeded", "Requests with status 200 and no error", "requests"),
    Measure("cancelled", "Requests whose response did not reach its end", "requests"),
    PROMPT_TOKENS,
    COMPLETION_TOKENS,
    CACHED_TOKENS,
    REASONING_TOKENS,
    COST,
)
