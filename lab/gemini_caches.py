"""Keep the prompts that clients have cached at Google by name, and refuse what Google refuses of them.

Sources, read 2026-11-30: Gemini API reference: cachedContents; Vertex AI reference: projects.locations.cachedContents;
Gemini API docs: Context caching; the requests of the ``google-genai`` package 3.6.1; the error bodies that users quote
in the issues of zyddnys/manga-image-translator (#929), BerriAI/litellm (#17696) and vercel/ai (#3333). For a cache that
is not there, one of another model and a bad time of expiry the documentation has the status; the sentences are the
lab's.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lab.gemini_conversation import content_characters
from lab.gemini_fields import CONTENT, OBJECT, TEXT, TOOL, TOOL_CONFIG
from lab.gemini_refusals import GoogleVocabulary
from lab.offers import offered
from lab.shapes import Listed, Object, RequestRefused, check
from lab.text import CHARACTERS_OF_A_TOKEN

DEFAULT_TTL_S = 3600.0
# The least number of tokens of a cache, by a part of the model's name. Source: Gemini API docs: Context caching.
LEAST_TOKENS = {"gemini-2": 2048}
LEAST_OF_OTHERS = 4096
# What a cache holds of a prompt. A request that names it may have contents alone, which follow those of the cache.
HELD = ("systemInstruction", "tools", "toolConfig")
CACHE_HOLDS = (
    "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.\n\n"
    "Proposed fix: move those values to CachedContent from GenerateContent request."
)
MAX_PAGE, MAX_CACHES = 1000, 10_000
TIMES = {"ttl": TEXT, "expireTime": TEXT}
CREATED = Object(
    {
        "model": TEXT, "displayName": TEXT, "contents": Listed(CONTENT), "systemInstruction": CONTENT,
        "tools": Listed(TOOL), "toolConfig": TOOL_CONFIG, "encryptionSpec": OBJECT, **TIMES,
    },
    ("model",),
)  # fmt: skip
# Nothing else of a cache can be changed.
CHANGED = Object({"name": TEXT, **TIMES})
_TTL = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


@dataclass
class CachedPrompt:
    """Hold the ``prompt`` of ``tokens`` for ``model``, until ``expires`` (s, Unix time)."""

    name: str
    model: str
    prompt: dict[str, Any]
    display_name: str | None
    tokens: int
    created: float
    updated: float
    expires: float

    def shown(self) -> dict[str, Any]:
        """Return the resource."""
        found: dict[str, Any] = {
            "name": self.name,
            "model": self.model,
            "createTime": _timestamp(self.created),
            "updateTime": _timestamp(self.updated),
            "expireTime": _timestamp(self.expires),
            "usageMetadata": {"totalTokenCount": self.tokens},
        }
        return found | ({} if self.display_name is None else {"displayName": self.display_name})


@dataclass
class CachedPrompts:
    """Keep caches by their names, each of one project. ``clock`` returns Unix time, seconds.

    A project is a key of AI Studio, or ``projects/P/locations/L`` at Vertex AI.
    """

    clock: Callable[[], float] = time.time
    _found: dict[tuple[str, str], CachedPrompt] = field(default_factory=dict)

    def create(self, provider: str, project: str, body: dict[str, Any]) -> dict[str, Any]:
        """Cache a prompt. Raises ``RequestRefused`` for one that is too short, or for a model that caches none."""
        check(CREATED, body, (), GoogleVocabulary())
        model = body["model"].rsplit("/", 1)[-1]
        if model not in offered(provider, "chat"):
            raise RequestRefused(
                f"models/{model} is not found for API version v1beta, or is not supported for createCachedContent. "
                "Call ListModels to see the list of available models and their supported methods.",
                status=404, kind="NOT_FOUND",
            )  # fmt: skip
        tokens = content_characters({"contents": [], **body}) // CHARACTERS_OF_A_TOKEN
        least = next((count for part, count in LEAST_TOKENS.items() if part in model), LEAST_OF_OTHERS)
        if tokens < least:
            raise RequestRefused(
                f"Cached content is too small. total_token_count={tokens}, min_total_token_count={least}"
            )
        now = self.clock()
        name = _new_name(project)
        prompt = {field: body[field] for field in ("contents", *HELD) if field in body}
        made = CachedPrompt(
            name, body["model"], prompt, body.get("displayName"), tokens, now, now, _expiry(body, now, DEFAULT_TTL_S)
        )
        self._sweep(now)
        self._found[project, name] = made
        return made.shown()

    def get(self, project: str, name: str) -> CachedPrompt:
        """Return a cache. Raises ``RequestRefused`` if the project has none of this name, or no longer."""
        self._sweep(self.clock())
        found = self._found.get((project, name))
        if found is None:
            raise RequestRefused("CachedContent not found (or permission denied)", status=403, kind="PERMISSION_DENIED")
        return found

    def listed(self, project: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the project's caches."""
        self._sweep(self.clock())
        size, token = query.get("pageSize", ""), query.get("pageToken", "")
        start = int(token) if token.isdigit() else 0
        end = start + (min(int(size), MAX_PAGE) if size.isdigit() and int(size) else MAX_PAGE)
        caches = [one.shown() for (owner, _), one in self._found.items() if owner == project]
        more = {"nextPageToken": str(end)} if end < len(caches) else {}
        return {"cachedContents": caches[start:end], **more}

    def update(self, project: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change the time of expiry."""
        check(CHANGED, body, (), GoogleVocabulary())
        found = self.get(project, name)
        found.updated = self.clock()
        found.expires = _expiry(body, found.updated, found.expires - found.updated)
        return found.shown()

    def delete(self, project: str, name: str) -> dict[str, Any]:
        """Forget a cache."""
        self.get(project, name)
        del self._found[project, name]
        return {}

    def named_for(self, project: str, name: str, model: str) -> CachedPrompt:
        """Return the cache that a request for ``model`` names. Raises ``RequestRefused`` if it may not."""
        found = self.get(project, name)
        own = found.model.rsplit("/", 1)[-1]
        if own != model:
            raise RequestRefused(
                f"Model used by GenerateContent request (models/{model}) and CachedContent (models/{own}) has to be "
                "the same."
            )
        return found

    def _sweep(self, now: float) -> None:
        for key, one in list(self._found.items()):
            if one.expires <= now or len(self._found) >= MAX_CACHES:
                del self._found[key]


def _new_name(project: str) -> str:
    if project.startswith("projects/"):
        return f"{project}/cachedContents/{secrets.randbelow(10**19)}"
    return f"cachedContents/{secrets.token_hex(14)}"


def _expiry(body: Mapping[str, Any], now: float, ttl_s: float) -> float:
    """Return when a cache expires. Raises ``RequestRefused`` for a time that is none, or past."""
    if "ttl" in body:
        found = _TTL.fullmatch(body["ttl"])
        if found is None:
            raise RequestRefused("Invalid value at 'cached_content.ttl' (type.googleapis.com/google.protobuf.Duration)")
        ttl_s = float(found[1])
    elif "expireTime" in body:
        try:
            ttl_s = datetime.fromisoformat(body["expireTime"]).timestamp() - now
        except ValueError:
            words = "Invalid value at 'cached_content.expire_time' (type.googleapis.com/google.protobuf.Timestamp)"
            raise RequestRefused(words) from None
    if ttl_s <= 0:
        raise RequestRefused("The expiration of a CachedContent must be in the future.")
    return now + ttl_s


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
